"""What the Fun-ASR recognisers hear: filter banks stacked to 60 ms frames, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lingting.audio.features import (
    FBANK_HOP_SAMPLES,
    FBANK_MELS,
    FBANK_WINDOW_SAMPLES,
    Cmvn,
    apply_cmvn,
    fbank,
    fbank_frames,
    stack_lfr,
)
from lingting.engines.base import SAMPLE_RATE_HZ

STACKED_FRAMES = 7
STEP_FRAMES = 6
FEATURE_SIZE = STACKED_FRAMES * FBANK_MELS
FRAME_S = STEP_FRAMES * FBANK_HOP_SAMPLES / SAMPLE_RATE_HZ
"""Seconds from one stacked frame to the next: 0.06."""


def lfr_frames(samples: int) -> int:
    """Rows that :func:`lfr_features` gives for so many samples; at least one."""
    return -(-max(1, fbank_frames(samples)) // STEP_FRAMES)


def lfr_features(samples: NDArray[np.float32], cmvn: Cmvn | None = None) -> NDArray[np.float32]:
    """``[n]`` at 16 kHz in [-1, 1] → ``[lfr_frames(n), 560]``, equal bits for equal audio.

    FunASR's ``WavFrontend`` without dither: seven neighbouring fbank frames side by side, one such
    row every 60 ms, normalised where the model has ``cmvn``. A clip shorter than one window of
    25 ms is filled up with silence.
    """
    missing = FBANK_WINDOW_SAMPLES - len(samples)
    if missing > 0:
        samples = np.concatenate([samples, np.zeros(missing, np.float32)])
    stacked = stack_lfr(fbank(samples), STACKED_FRAMES, STEP_FRAMES)
    return stacked if cmvn is None else apply_cmvn(stacked, cmvn)


def pad(features: Sequence[NDArray[np.float32]]) -> tuple[torch.Tensor, torch.Tensor]:
    """``[T_i, d]`` each → ``[B, T, d]`` with zeros behind the shorter ones, and ``lengths [B]``."""
    lengths = torch.tensor([len(one) for one in features], dtype=torch.int64)
    longest = max(len(one) for one in features)
    batch = torch.zeros(len(features), longest, features[0].shape[1], dtype=torch.float32)
    for row, one in enumerate(features):
        batch[row, : len(one)] = torch.from_numpy(np.ascontiguousarray(one, np.float32))
    return batch, lengths
