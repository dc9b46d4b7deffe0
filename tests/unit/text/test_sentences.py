"""Words of a clip are cut into what people read."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lingting.joining import join
from lingting.text.sentences import Utterance, utterances
from lingting.transcript import Word


def timed(*rows: tuple[str, float, float]) -> list[Word]:
    return [Word(*row) for row in rows]


def texts(spoken: str, found: list[Utterance]) -> list[str]:
    return [spoken[one.start : one.end] for one in found]


def test_sentences_end_at_their_marks() -> None:
    spoken = "今天很好。 Really? Yes"
    words = timed(
        ("今", 0, 0.5), ("天", 0.5, 1), ("很", 1, 1.5), ("好。", 1.5, 2),
        ("Really?", 2, 3.2), ("Yes", 3.2, 4),
    )  # fmt: skip
    found = utterances(spoken, words)
    assert texts(spoken, found) == ["今天很好。 ", "Really? ", "Yes"]
    assert [len(one.words) for one in found] == [4, 1, 1]


def test_marks_inside_closing_quotes_count() -> None:
    spoken = "他说“走。”我没走。"
    words = timed(
        ("他", 0, 1), ("说", 1, 2), ("“走。”", 2, 3), ("我", 3, 4), ("没", 4, 5), ("走。", 5, 6)
    )
    assert texts(spoken, utterances(spoken, words)) == ["他说“走。”", "我没走。"]


def test_a_pause_ends_an_utterance_without_a_mark() -> None:
    spoken = "one two three"
    apart = timed(("one", 0, 1), ("two", 1, 2), ("three", 2.7, 3))
    close = timed(("one", 0, 1), ("two", 1, 2), ("three", 2.69, 3))
    assert texts(spoken, utterances(spoken, apart)) == ["one two ", "three"]
    assert texts(spoken, utterances(spoken, close)) == ["one two three"]


def test_what_is_shorter_than_a_second_joins_what_follows() -> None:
    spoken = "Yes. No. Perhaps."
    words = timed(("Yes.", 0, 0.4), ("No.", 0.4, 0.99), ("Perhaps.", 0.99, 2))
    assert texts(spoken, utterances(spoken, words)) == [spoken]


def test_a_comma_is_good_enough_after_ten_seconds() -> None:
    spoken = "a, b, c"
    words = timed(("a,", 0, 9.9), ("b,", 9.9, 10), ("c", 10, 11))
    assert texts(spoken, utterances(spoken, words)) == ["a, b, ", "c"]


def test_without_words_there_is_one_utterance() -> None:
    assert utterances("你好。再见。", []) == [Utterance(0, 6, ())]


def test_words_that_do_not_spell_the_text_leave_it_whole() -> None:
    words = tuple(timed(("你。", 0, 2), ("们。", 2, 4)))
    assert utterances("你好。再见。", words) == [Utterance(0, 6, words)]


@st.composite
def spoken_words(draw: st.DrawFn) -> tuple[str, list[Word]]:
    pieces = draw(
        st.lists(
            st.sampled_from(["a", "b.", "c,", "你", "好。", "吗？", "哦，", "d!”"]), min_size=1
        )
    )
    gaps = draw(st.lists(st.floats(0, 3), min_size=2 * len(pieces), max_size=2 * len(pieces)))
    at, words = 0.0, []
    for piece, pause, length in zip(pieces, gaps[::2], gaps[1::2], strict=True):
        words.append(Word(piece, at + pause, at + pause + length))
        at += pause + length
    return join(pieces), words


@given(spoken_words())
def test_every_character_and_word_lands_in_exactly_one_utterance(
    given_: tuple[str, list[Word]],
) -> None:
    spoken, words = given_
    found = utterances(spoken, words)
    assert "".join(texts(spoken, found)) == spoken
    assert [word for one in found for word in one.words] == words
    assert all(one.words for one in found)
    assert all(a.end == b.start for a, b in pairwise(found))
    for one in found[:-1]:
        assert one.words[-1].end_s - one.words[0].start_s >= 1.0
    for one in found:
        assert join(w.text for w in one.words) == spoken[one.start : one.end].strip()
