"""Times of pieces that others cut, as times of our words."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.engines.piece_times import Piece, spread_words, with_confidences, words_of_pieces
from lingting.text.units import word_units
from lingting.transcript import Word


def rows(text: str, pieces: list[Piece], duration_s: float = 9.0) -> list[tuple[str, float, float]]:
    return [(w.text, w.start_s, w.end_s) for w in words_of_pieces(text, pieces, duration_s)]


def test_pieces_may_be_cut_anywhere() -> None:
    pieces = [("he", 1.0, 1.2), ("llo wor", 1.2, 2.0), ("LD", 2.0, 2.5), ("你好", 3.0, 4.0)]
    assert rows("Hello, world! 你好。", pieces) == [
        ("Hello,", 1.0, 2.0),
        ("world!", 2.0, 2.5),
        ("你", 3.0, 4.0),
        ("好。", 4.0, 4.0),
    ]


def test_marks_have_no_time_of_their_own() -> None:
    pieces = [("“", 0.0, 0.1), ("hi", 1.0, 2.0), ("…", 2.0, 3.0), ("— you", 4.0, 5.0)]
    words = rows("“hi” … — you", pieces)
    assert [word[0] for word in words] == [unit.text for unit in word_units("“hi” … — you")]
    assert ("you", 4.0, 5.0) in words


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [("hello", 0.0, 1.0)],
        [("hello", 0.0, 1.0), ("word", 1.0, 2.0)],
        [("hello", 0.0, 1.0), ("world", math.nan, 2.0)],
        [("!", 0.0, 1.0)],
    ],
)
def test_pieces_that_spell_something_else_give_nothing(pieces: list[Piece]) -> None:
    assert rows("hello world", pieces) == []


TIMES = st.floats(-5, 50)


@given(st.lists(st.tuples(st.sampled_from(["a", "bc", "你", "x1"]), TIMES, TIMES), min_size=1))
def test_times_are_in_order_and_inside_whatever_comes(pieces: list[Piece]) -> None:
    text = " ".join(piece[0] for piece in pieces)
    duration_s = 7.00004
    words = words_of_pieces(text, pieces, duration_s)
    flat = [t for word in words for t in (word.start_s, word.end_s)]
    assert flat == sorted(flat)
    assert 0 <= flat[0] <= flat[-1] <= duration_s
    assert [word.text for word in words] == [unit.text for unit in word_units(text)]


def test_spread_words_stay_inside_the_clip() -> None:
    samples = np.ones(16_001, np.float32)
    words = spread_words("one 二三", samples)
    assert [word.text for word in words] == ["one", "二", "三"]
    assert words[-1].end_s <= len(samples) / 16_000
    assert spread_words("", samples) == ()


def times(words: tuple[Word, ...]) -> list[tuple[str, float, float]]:
    return [(word.text, word.start_s, word.end_s) for word in words]


def test_spread_words_lie_where_it_is_loud() -> None:
    rng = np.random.default_rng(0)
    clip = np.concatenate(
        [np.zeros(16_000), rng.standard_normal(32_000) * 0.1, np.zeros(16_000)]
    ).astype(np.float32)
    words = spread_words("你好，世界", clip)
    assert times(words) == [
        ("你", 1.0, 1.5),
        ("好，", 1.5, 2.0),
        ("世", 2.0, 2.5),
        ("界", 2.5, 3.0),
    ]
    long, short = spread_words("internationally it", clip)
    assert long.end_s - long.start_s > 5 * (short.end_s - short.start_s)
    assert spread_words("", clip) == ()
    assert times(spread_words("！", clip)) == [("！", 1.0, 1.0)]


def test_confidences_come_from_the_tokens_that_wrote_a_word() -> None:
    text = "你好 the"
    words = (Word("你", 0, 1), Word("好", 1, 2), Word("the", 2, 3))
    # 你 is two tokens (the first writes nothing yet), 好 and the space one, "the" one.
    found = with_confidences(text, words, [0, 1, 3, 6], np.log([0.5, 0.7, 0.9, 0.2]).tolist())
    assert [word.confidence for word in found] == [0.6, 0.9, 0.2]
