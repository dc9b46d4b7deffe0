"""When a piece of the written text was said."""

from lingting.search.times import times_of
from lingting.transcript import Edit, Segment, Word


def words(text: str, *, step_s: float = 1.0) -> tuple[Word, ...]:
    return tuple(Word(char, n * step_s, (n + 1) * step_s) for n, char in enumerate(text))


def test_unchanged_text() -> None:
    segment = Segment(0, 5, "客户退款", "客户退款", words=words("客户退款"))
    assert times_of(segment, 2, 4) == (2.0, 4.0)
    assert times_of(segment, 0, 1) == (0.0, 1.0)


def test_through_an_edit() -> None:
    """一千二百元退款 is written 1200元退款; a place in the number is the whole number."""
    spoken = "一千二百元退款"
    edits = (Edit(0, 4, 0, 4, "itn"),)
    segment = Segment(0, 7, "1200元退款", spoken, words=words(spoken), edits=edits)
    assert times_of(segment, 5, 7) == (5.0, 7.0)
    assert times_of(segment, 0, 4) == (0.0, 4.0)
    longer = Segment(
        0, 7, "约1200元退款", "约" + spoken, words=words("约" + spoken),
        edits=(Edit(1, 5, 1, 5, "itn"),),
    )  # fmt: skip
    assert times_of(longer, 2, 3) == (1.0, 5.0)
    shorter = Segment(
        0,
        7,
        "20元退款",
        "二十块钱退款",
        words=words("二十块钱退款"),
        edits=(Edit(0, 4, 0, 3, "itn"),),
    )
    assert times_of(shorter, 3, 5) == (4.0, 6.0)


def test_a_correction_keeps_the_times_of_words_that_stayed() -> None:
    segment = Segment(0, 5, "顾客要退款", "雇客退款", words=words("雇客退款"))
    assert times_of(segment, 3, 5) == (2.0, 4.0)
    assert times_of(segment, 0, 1) is None


def test_words_of_letters() -> None:
    said = (Word("good", 0.5, 1.0), Word("day", 1.2, 1.5))
    segment = Segment(
        0,
        2,
        "Good day.",
        "good day",
        words=said,
        edits=(Edit(0, 1, 0, 1, "case"), Edit(8, 8, 8, 9, "punct")),
    )
    assert times_of(segment, 5, 8) == (1.2, 1.5)


def test_without_words() -> None:
    assert times_of(Segment(0, 1, "a", "a"), 0, 1) is None
