"""When was each word said: forced alignment on a CTC branch, or spreading over what is loud.

Both give times that never go back and never leave the clip. Numpy only, so that it can be used
and tested without PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_WINDOW_S = 0.02
_QUIET_SHARE = 0.06  # of a clip's loud windows (their 95th percentile), as amplitude
_PAUSE_S = 0.2  # a shorter dip belongs to the speech around it


def forced_align(
    emissions: NDArray[np.float32], blank: NDArray[np.float32], same: Sequence[bool]
) -> list[tuple[int, int]] | None:
    """The most probable way to say the tokens one after the other: ``(first, last)`` frames.

    ``emissions`` ``[T, N]`` is the log probability of token n in frame t, ``blank`` ``[T]`` that of
    the blank. ``same[n]`` says that token n is the one before it again; CTC wants a blank between
    them. Frames ``first .. last - 1`` belong to a token; they are in order and do not overlap.
    None when there are fewer frames than the tokens need.

    Viterbi over the 2 N + 1 states of CTC (blank, token, blank, token, …, blank), after Graves et
    al., "Connectionist Temporal Classification", ICML 2006, with the sum replaced by a maximum.
    Of equally good paths the one that arrives later in a token is taken.
    """
    frames, tokens = emissions.shape
    if tokens == 0:
        return []
    if frames < tokens + sum(same[1:]):
        return None
    moves = _best_moves(emissions, blank, np.asarray(same, bool))
    state = _last_state(moves.last)
    spans = [(0, 0)] * tokens
    for frame in range(frames - 1, -1, -1):
        token, is_token = divmod(state, 2)
        if is_token:
            _, end = spans[token]
            spans[token] = (frame, end or frame + 1)
        state -= int(moves.steps[frame, state])
    return spans


class _Moves:
    """Per frame and state how many states back the best path came from, and the last scores."""

    def __init__(self, steps: NDArray[np.int8], last: NDArray[np.float64]) -> None:
        self.steps = steps
        self.last = last


def _best_moves(
    emissions: NDArray[np.float32], blank: NDArray[np.float32], same: NDArray[np.bool_]
) -> _Moves:
    frames, tokens = emissions.shape
    states = 2 * tokens + 1
    scores = np.empty((frames, states), np.float64)
    scores[:, 0::2] = blank[:, None]
    scores[:, 1::2] = emissions
    can_skip = np.zeros(states, bool)  # from the token before, over the blank between them
    can_skip[3::2] = ~same[1:]
    steps = np.zeros((frames, states), np.int8)
    best = np.full(states, -np.inf)
    best[:2] = scores[0, :2]
    for frame in range(1, frames):
        stay = best
        one = np.concatenate(([-np.inf], best[:-1]))
        two = np.where(can_skip, np.concatenate(([-np.inf, -np.inf], best[:-2])), -np.inf)
        came = np.stack((stay, one, two))
        steps[frame] = came.argmax(axis=0)
        best = came.max(axis=0) + scores[frame]
    return _Moves(steps, best)


def _last_state(last: NDArray[np.float64]) -> int:
    """A path ends in the last token or in the blank behind it."""
    return len(last) - 1 if last[-1] > last[-2] else len(last) - 2


def spread(
    weights: Sequence[float], samples: NDArray[np.float32], sample_rate_hz: int
) -> list[tuple[float, float]]:
    """Begin and end in seconds of words of these weights, over what is loud in the clip.

    The words share the loud stretches in order, each as long as its weight says; a word never
    reaches over a pause: it ends where the stretch ends in which most of it lies. Honest only as
    a rough guide, which is why such times are marked ``spread``.
    """
    if not weights:
        return []
    stretches = loud_stretches(samples, sample_rate_hz)
    edges = np.array([edge for stretch in stretches for edge in stretch])
    lengths = edges[1::2] - edges[0::2]
    behind = np.concatenate(([0.0], np.cumsum(lengths)))  # loud seconds before each stretch
    shares = np.cumsum([0.0, *weights])
    places = shares / shares[-1] * behind[-1] if shares[-1] > 0 else shares
    times = []
    for begin, end in pairwise(places):
        at = min(
            int(np.searchsorted(behind, (begin + end) / 2, side="right")) - 1, len(lengths) - 1
        )
        low, high = edges[2 * at], edges[2 * at + 1]
        first = min(max(low + begin - behind[at], low), high)
        last = min(max(low + end - behind[at], low), high)
        times.append((float(first), float(max(first, last))))
    return times


def loud_stretches(samples: NDArray[np.float32], sample_rate_hz: int) -> list[tuple[float, float]]:
    """Where the clip is not quiet, in seconds; the whole clip when nothing stands out."""
    window = max(1, int(_WINDOW_S * sample_rate_hz))
    duration_s = len(samples) / sample_rate_hz
    count = len(samples) // window
    if count == 0:
        return [(0.0, duration_s)]
    level = np.sqrt(np.square(samples[: count * window].reshape(count, window)).mean(axis=1))
    is_loud = level > _QUIET_SHARE * np.percentile(level, 95)
    if not is_loud.any():
        return [(0.0, duration_s)]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], is_loud.astype(np.int8), [0]))))
    begins, ends = list(edges[0::2]), list(edges[1::2])
    pause = _PAUSE_S / _WINDOW_S
    kept: list[tuple[int, int]] = []
    for begin, end in zip(begins, ends, strict=True):
        if kept and begin - kept[-1][1] < pause:
            kept[-1] = (kept[-1][0], int(end))
        else:
            kept.append((int(begin), int(end)))
    return [(begin * _WINDOW_S, min(end * _WINDOW_S, duration_s)) for begin, end in kept]
