"""The loudness of a recording as a player draws it: a few hundred pairs of extremes.

``peaks`` gives at most ``2 * BUCKETS`` signed bytes: minimum and maximum of each bucket of equal
length, 127 being full scale. That is 2 kB however long the recording is.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.decode import Limits, read_blocks

BUCKETS: Final = 1_000
_FINE_SAMPLES = SAMPLE_RATE_HZ // 100
"""Extremes are first taken of 10 ms each: 12 hours of them are 35 MB."""


def peaks(source: Any, *, limits: Limits | None = None) -> bytes:
    """``[n, 2]`` int8, minimum and maximum, as bytes; ``n <= BUCKETS``, at least one.

    Decodes the whole recording, a block at a time. Raises what ``open_audio`` raises.
    """
    fine: list[np.ndarray[Any, np.dtype[np.float32]]] = []
    held = np.zeros(0, np.float32)
    for block in read_blocks(source, limits=limits):
        held = np.concatenate([held, block])
        whole = len(held) - len(held) % _FINE_SAMPLES
        fine.append(_extremes(held[:whole].reshape(-1, _FINE_SAMPLES)))
        held = held[whole:]
    if len(held):
        fine.append(_extremes(held[None]))
    pairs = np.concatenate(fine)
    starts = np.linspace(0, len(pairs), min(BUCKETS, len(pairs)), endpoint=False).astype(np.intp)
    low = np.minimum.reduceat(pairs[:, 0], starts)
    high = np.maximum.reduceat(pairs[:, 1], starts)
    return np.round(np.stack([low, high], axis=1) * 127).astype(np.int8).tobytes()


def _extremes(
    rows: np.ndarray[Any, np.dtype[np.float32]],
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """``[n, k]`` → ``[n, 2]``."""
    return np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1)
