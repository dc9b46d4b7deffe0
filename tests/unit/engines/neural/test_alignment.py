"""Forced alignment against every possible path, and times spread over loud stretches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lingting.engines.neural.alignment import forced_align, loud_stretches, spread

RATE_HZ = 16_000
BLANK = -1


def collapse(path: tuple[int, ...], tokens: list[int]) -> bool:
    """True when the frames' labels spell the tokens as CTC reads them."""
    said = [label for label, _ in itertools.groupby(path)]
    return [label for label in said if label != BLANK] == tokens


def best_by_trying_all(log_probs: NDArray[np.float64], tokens: list[int]) -> float:
    """Score of the best frame labelling that spells the tokens; the blank is the last class."""
    labels = [*range(log_probs.shape[1] - 1), BLANK]
    scores = [
        sum(row[label] for row, label in zip(log_probs, path, strict=True))
        for path in itertools.product(labels, repeat=len(log_probs))
        if collapse(path, tokens)
    ]
    return max(scores, default=-np.inf)


def score_of(
    spans: list[tuple[int, int]], log_probs: NDArray[np.float64], tokens: list[int]
) -> float:
    labels = [BLANK] * len(log_probs)
    for (first, last), token in zip(spans, tokens, strict=True):
        labels[first:last] = [token] * (last - first)
    assert collapse(tuple(labels), tokens)
    return float(sum(row[label] for row, label in zip(log_probs, labels, strict=True)))


@given(
    st.integers(1, 6), st.lists(st.integers(0, 1), min_size=1, max_size=4), st.integers(0, 10_000)
)
def test_no_path_is_better(frames: int, tokens: list[int], seed: int) -> None:
    log_probs = np.log(np.random.default_rng(seed).dirichlet(np.ones(3), frames))
    same = [at > 0 and tokens[at] == tokens[at - 1] for at in range(len(tokens))]
    spans = forced_align(
        log_probs[:, tokens].astype(np.float32), log_probs[:, -1].astype(np.float32), same
    )
    best = best_by_trying_all(log_probs, tokens)
    if spans is None:
        assert best == -np.inf
    else:
        assert score_of(spans, log_probs, tokens) == pytest.approx(best, abs=1e-5)


def test_spans_are_where_the_tokens_are_heard() -> None:
    heard = [BLANK, 0, 0, BLANK, BLANK, 1, BLANK, 1, 2, BLANK]
    log_probs = np.full((10, 4), np.log(0.01), np.float32)
    for frame, label in enumerate(heard):
        log_probs[frame, label] = np.log(0.97)
    spans = forced_align(log_probs[:, [0, 1, 1, 2]], log_probs[:, 3], [False, False, True, False])
    assert spans == [(1, 3), (5, 6), (7, 8), (8, 9)]


def test_too_few_frames_and_no_tokens() -> None:
    emissions = np.zeros((3, 2), np.float32)
    assert forced_align(emissions, np.zeros(3, np.float32), [False, True]) is not None
    assert forced_align(emissions[:2], np.zeros(2, np.float32), [False, True]) is None
    assert forced_align(np.zeros((3, 0), np.float32), np.zeros(3, np.float32), []) == []


def test_a_token_that_cannot_be_said_is_placed_all_the_same() -> None:
    emissions = np.full((5, 1), -np.inf, np.float32)
    spans = forced_align(emissions, np.zeros(5, np.float32), [False])
    assert spans is not None
    assert 0 <= spans[0][0] < spans[0][1] <= 5


def tone(*parts: tuple[float, float]) -> NDArray[np.float32]:
    """Seconds and loudness, one after the other."""
    rng = np.random.default_rng(0)
    pieces = [rng.standard_normal(int(s * RATE_HZ)) * level for s, level in parts]
    return np.concatenate(pieces).astype(np.float32)


def test_loud_stretches_skip_pauses_but_not_short_dips() -> None:
    clip = tone((0.5, 0.0001), (1.0, 0.1), (0.1, 0.0001), (0.4, 0.1), (0.6, 0.0001), (1.0, 0.1))
    assert loud_stretches(clip, RATE_HZ) == [
        (pytest.approx(0.5), pytest.approx(2.0)),
        (pytest.approx(2.6), pytest.approx(3.6)),
    ]


@pytest.mark.parametrize("samples", [0, 5, 16_000])
def test_silence_is_one_stretch(samples: int) -> None:
    clip = np.zeros(samples, np.float32)
    assert loud_stretches(clip, RATE_HZ) == [(0.0, samples / RATE_HZ)]


def test_words_share_the_loud_stretches_by_weight() -> None:
    clip = tone((1.0, 0.1), (1.0, 0.0001), (1.0, 0.1))
    times = spread([1, 3, 2, 2], clip, RATE_HZ)
    assert times == [
        (pytest.approx(0.0), pytest.approx(0.25)),
        (pytest.approx(0.25), pytest.approx(1.0)),
        (pytest.approx(2.0), pytest.approx(2.5)),
        (pytest.approx(2.5), pytest.approx(3.0)),
    ]


@given(
    st.lists(st.floats(0, 9), max_size=12),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.001, 0.1])), max_size=5),
)
def test_spread_times_never_go_back_and_stay_inside(
    weights: list[float], parts: list[tuple[float, float]]
) -> None:
    clip = tone(*parts) if parts else np.zeros(0, np.float32)
    times = spread(weights, clip, RATE_HZ)
    assert len(times) == len(weights)
    edges = [edge for time in times for edge in time]
    assert edges == sorted(edges)
    assert all(0.0 <= edge <= len(clip) / RATE_HZ + 1e-9 for edge in edges)
