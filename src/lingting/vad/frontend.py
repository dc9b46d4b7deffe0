"""Samples to the 400 numbers a frame that FSMN-VAD reads, bit for bit the same in any blocks.

Five neighbouring filter bank frames side by side, none skipped (low frame rate 5/1), shifted and
scaled as ``am.mvn`` says, and the level of each frame beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import NDArray

from lingting.audio.features import (
    FBANK_HOP_SAMPLES,
    FBANK_MELS,
    FBANK_WINDOW_SAMPLES,
    Cmvn,
    FbankStream,
    fbank_frames,
    read_cmvn,
)
from lingting.errors import WeightsInvalid

STACK: Final = 5
CONTEXT: Final = STACK // 2
"""Frames on either side of the one that is decided."""
FEATURES: Final = STACK * FBANK_MELS
HOP_SAMPLES: Final = FBANK_HOP_SAMPLES
_ENERGY_FLOOR: Final = np.float32(1e-6)

Floats = NDArray[np.float32]


def read_vad_cmvn(path: Path) -> Cmvn:
    """``am.mvn`` with 400 shifts and scales; ``WeightsInvalid`` for any other."""
    cmvn = read_cmvn(path)
    if len(cmvn.shift) != FEATURES:
        raise WeightsInvalid(
            f"The VAD's am.mvn holds {len(cmvn.shift)} shifts; {FEATURES} are expected."
        )
    return cmvn


class LevelStream:
    """Energy of each 25 ms frame: ``10 log10(sum of squares + 1e-6)`` of samples in [-1, 1]."""

    def __init__(self) -> None:
        self._held = np.empty(0, np.float32)

    def feed(self, block: Floats) -> Floats:
        """``[n]`` samples to the ``[k]`` levels, dB, of the frames they complete."""
        held = np.concatenate((self._held, block))
        count = fbank_frames(len(held))
        self._held = held[count * HOP_SAMPLES :].copy()
        if not count:
            return np.empty(0, np.float32)
        windows = sliding_window_view(held, FBANK_WINDOW_SAMPLES)[::HOP_SAMPLES]
        energy = np.einsum("ij,ij->i", windows, windows)
        levels: Floats = 10.0 * np.log10(energy + _ENERGY_FLOOR)
        return levels


class FrameStream:
    """Blocks of samples in; log mel frames with two frames of context on both sides out.

    The first frame stands in for the two before it and the last for the two after it, so a frame
    is ready once two more have followed. Holds less than 65 ms of audio.
    """

    def __init__(self, cmvn: Cmvn) -> None:
        self._cmvn = cmvn
        self._fbank = FbankStream()
        self._levels = LevelStream()
        self._mels = np.empty((0, FBANK_MELS), np.float32)
        self._waiting = np.empty(0, np.float32)

    def feed(self, samples: Floats) -> tuple[Floats, Floats]:
        """``[n]`` samples to the ``[k, 400]`` features and ``[k]`` levels that are now ready."""
        levels = self._levels.feed(samples)
        self._waiting = np.concatenate((self._waiting, levels))
        return self._advance(self._fbank.feed(samples))

    def finish(self) -> tuple[Floats, Floats]:
        """The last two frames; fewer only when the audio has fewer."""
        return self._advance(np.repeat(self._mels[-1:], CONTEXT, axis=0))

    def _advance(self, mels: Floats) -> tuple[Floats, Floats]:
        if not len(self._mels):
            mels = np.concatenate((np.repeat(mels[:1], CONTEXT, axis=0), mels))
        mels = np.concatenate((self._mels, mels))
        count = max(len(mels) - 2 * CONTEXT, 0)
        self._mels = mels[count:].copy()
        levels, self._waiting = self._waiting[:count], self._waiting[count:].copy()
        return self._stack(mels, count), levels

    def _stack(self, mels: Floats, count: int) -> Floats:
        """Rows 0..4, 1..5, … of ``mels`` side by side, without a copy before the arithmetic."""
        if not count:
            return np.empty((0, FEATURES), np.float32)
        strides = (mels.strides[0], mels.itemsize)
        stacked = as_strided(mels, (count, FEATURES), strides, writeable=False)
        features: Floats = np.add(stacked, self._cmvn.shift)
        features *= self._cmvn.scale
        return features
