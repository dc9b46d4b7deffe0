"""The loudness of a recording as a player draws it: a few hundred pairs of extremes.

``peaks`` gives at most ``2 * BUCKETS`` signed bytes: minimum and maximum of each bucket of equal
length, 127 being full scale. That is 2 kB however long the recording is.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.decode import Limits, read_blocks

Samples = NDArray[np.float32]

BUCKETS: Final = 1_000
_FINE_SAMPLES = SAMPLE_RATE_HZ // 100
"""Extremes are first taken of 10 ms each: 12 hours of them are 35 MB."""


def peaks(source: Any, *, limits: Limits | None = None) -> bytes:
    """``[n, 2]`` int8, minimum and maximum, as bytes; ``n <= BUCKETS``, at least one.

    Decodes the whole recording, a block at a time. Raises what ``open_audio`` raises.
    """
    meter = PeakMeter()
    for block in read_blocks(source, limits=limits):
        meter.feed(block)
    return meter.peaks()


class PeakMeter:
    """The same of a recording that is being read for something else."""

    def __init__(self) -> None:
        self._fine: list[Samples] = []
        self._held = np.zeros(0, np.float32)

    def feed(self, block: Samples) -> None:
        """16 kHz blocks in order: ``[n]``, or ``[channels, n]``, which are mixed."""
        held = np.concatenate([self._held, block if block.ndim == 1 else block.mean(axis=0)])
        whole = len(held) - len(held) % _FINE_SAMPLES
        self._fine.append(_extremes(held[:whole].reshape(-1, _FINE_SAMPLES)))
        self._held = held[whole:]

    def peaks(self) -> bytes:
        """When all blocks were fed; there was at least one."""
        fine = [*self._fine, _extremes(self._held[None])] if len(self._held) else self._fine
        pairs = np.concatenate(fine)
        starts = np.linspace(0, len(pairs), min(BUCKETS, len(pairs)), endpoint=False)
        low = np.minimum.reduceat(pairs[:, 0], starts.astype(np.intp))
        high = np.maximum.reduceat(pairs[:, 1], starts.astype(np.intp))
        return np.round(np.stack([low, high], axis=1) * 127).astype(np.int8).tobytes()


def _extremes(rows: Samples) -> Samples:
    """``[n, k]`` → ``[n, 2]``."""
    return np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1)
