"""Score and level of frames, held for as long as speech that needs them may still end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lingting.transcript import Span
from lingting.vad.decision import FRAMES_PER_S, FrameScores

Floats = NDArray[np.float32]


class HeldScores:
    """What a ``VadStream`` has seen, from the frame on that is still of interest."""

    def __init__(self) -> None:
        self._first = 0
        self._speech = np.empty(0, np.float32)
        self._level_db = np.empty(0, np.float32)

    def append(self, frames: FrameScores) -> None:
        self._speech = np.concatenate((self._speech, frames.speech))
        self._level_db = np.concatenate((self._level_db, frames.level_db))

    def drop_before(self, frame: int) -> None:
        count = min(max(frame - self._first, 0), len(self._speech))
        self._speech, self._level_db = self._speech[count:], self._level_db[count:]
        self._first += count

    def of(self, spans: Sequence[Span]) -> tuple[Floats, Floats]:
        """Scores and levels of the frames of one span or more; they must be held."""
        runs = [
            slice(
                round(span.start_s * FRAMES_PER_S) - self._first,
                round(span.end_s * FRAMES_PER_S) - self._first,
            )
            for span in spans
        ]
        return (
            np.concatenate([self._speech[run] for run in runs]),
            np.concatenate([self._level_db[run] for run in runs]),
        )
