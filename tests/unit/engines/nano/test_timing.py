"""Word times: from what a CTC branch hears, and without one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.engines.nano.ctc import Emissions
from lingting.engines.nano.ctc_spelling import CtcSpelling
from lingting.engines.nano.timing import aligned_words
from lingting.transcript import Word
from tests.unit.engines.nano.test_ctc import FILE, ranks, write

BLANK = ""


@pytest.fixture(scope="module")
def spelling(tmp_path_factory: pytest.TempPathFactory) -> CtcSpelling:
    return CtcSpelling(write(tmp_path_factory.mktemp("spelling") / FILE, ranks()))


class Heard:
    """A branch that is sure of one token in each frame, given as text; BLANK is the blank."""

    def __init__(self, spelling: CtcSpelling, frames: Sequence[str]) -> None:
        self._classes = len(spelling) + 1
        labels = []
        for frame in frames:
            ids = spelling.encode(frame) if frame else [self._classes - 1]
            assert len(ids) == 1, f"{frame} is not one token"
            labels += ids
        self._labels = labels

    def __call__(self, tokens: Sequence[int]) -> Emissions:
        scores = np.full((len(self._labels), self._classes), np.log(1e-6), np.float32)
        for frame, label in enumerate(self._labels):
            scores[frame, label] = np.log(0.99)
        blank = scores[:, -1].copy()
        return Emissions(scores[:, list(tokens)], blank, scores[:, :-1].max(axis=1))


def times(words: Sequence[Word]) -> list[tuple[str, float, float]]:
    return [(word.text, word.start_s, word.end_s) for word in words]


def test_characters_get_their_frames_and_a_little_of_the_silence(spelling: CtcSpelling) -> None:
    heard = Heard(spelling, [BLANK, "你", "你", BLANK, "好", *[BLANK] * 10, "一", BLANK])
    words = aligned_words("你好。一！", spelling, heard, 1.02)
    assert words is not None
    assert times(words) == [
        ("你", 0.06, 0.24),
        ("好。", 0.24, 0.6),  # its own frame and 0.3 s
        ("一！", 0.9, 1.02),
    ]


def test_a_token_of_two_characters_is_divided(spelling: CtcSpelling) -> None:
    assert len(spelling.encode("你好")) == 1
    heard = Heard(spelling, [BLANK, "你好", "你好", "你好", "你好", BLANK, "一"])
    words = aligned_words("你好一", spelling, heard, 0.5)
    assert words is not None
    assert times(words) == [("你", 0.06, 0.18), ("好", 0.18, 0.36), ("一", 0.36, 0.5)]


@pytest.mark.parametrize(
    ("text", "said"),
    [("The ing", " the"), ("the ing", " the"), ("the ing", "the"), ("THE ing", "the")],
)
def test_the_spelling_that_the_branch_hears_is_taken(
    spelling: CtcSpelling, text: str, said: str
) -> None:
    heard = Heard(spelling, [*[BLANK] * 8, said, BLANK, BLANK, "ing"])
    words = aligned_words(text, spelling, heard, 0.72)
    assert words is not None
    assert times(words) == [(text[:3], 0.48, 0.66), ("ing", 0.66, 0.72)]


def test_a_misheard_character_does_not_move_its_neighbours(spelling: CtcSpelling) -> None:
    heard = Heard(spelling, ["你", BLANK, BLANK, "é", BLANK, BLANK, "好"])
    words = aligned_words("你一好", spelling, heard, 0.42)
    assert words is not None
    assert [word.start_s for word in words] == [0.0, 0.18, 0.36]


def test_a_number_takes_the_place_where_something_else_is_heard(spelling: CtcSpelling) -> None:
    heard = Heard(spelling, ["你", BLANK, "th", "ing", "er", BLANK, BLANK, BLANK, "好"])
    words = aligned_words("你2好", spelling, heard, 0.54)
    assert words is not None
    assert words[0].start_s == 0.0
    assert 0.12 <= words[1].start_s <= 0.24
    assert words[2].start_s == 0.48


def test_marks_that_stand_alone_take_no_time(spelling: CtcSpelling) -> None:
    heard = Heard(spelling, [BLANK, "你", BLANK, "好"])
    words = aligned_words("— 你 — 好", spelling, heard, 0.24)
    assert words is not None
    assert times(words) == [
        ("—", 0.0, 0.0),
        ("你 —", 0.06, 0.18),
        ("好", 0.18, 0.24),
    ]


@pytest.mark.parametrize("text", ["", "。", "!!!", "你好一你好一你好一"])
def test_what_cannot_be_aligned(spelling: CtcSpelling, text: str) -> None:
    assert aligned_words(text, spelling, Heard(spelling, ["你", "好"]), 0.12) is None


@given(
    text=st.text(alphabet="the ing你好一1,。'—\u0301กั é", max_size=14),
    frames=st.integers(15, 60),
    seed=st.integers(0, 99),
)
def test_aligned_times_never_go_back_and_stay_inside(
    spelling: CtcSpelling, text: str, frames: int, seed: int
) -> None:
    scores = np.log(np.random.default_rng(seed).dirichlet(np.ones(40) * 0.2, frames) + 1e-9)

    def emissions(tokens: Sequence[int]) -> Emissions:
        columns = scores[:, [token % 39 for token in tokens]].astype(np.float32)
        return Emissions(columns, scores[:, -1].astype(np.float32), scores.max(axis=1))

    words = aligned_words(text, spelling, emissions, frames * 0.06)
    if words is not None:
        edges = [edge for word in words for edge in (word.start_s, word.end_s)]
        assert edges == sorted(edges)
        assert edges[0] >= 0.0
        assert edges[-1] <= frames * 0.06 + 5e-4
