"""What every engine asks of a clip before it works on it."""

from __future__ import annotations

import numpy as np

from lingting.engines.base import MAX_CLIP_S, SAMPLE_RATE_HZ, Clip
from lingting.errors import AudioEmpty, AudioInvalid, AudioTooLong

_SHORTEST_S = 0.1
_SILENT = 3e-4  # amplitude (-70 dB) that not one window of a silent clip reaches
_WINDOW_SAMPLES = SAMPLE_RATE_HZ * 30 // 1000


def check_clip(clip: Clip, *, shortest_samples: int = 320, longest_s: float = MAX_CLIP_S) -> None:
    """Raises AudioInvalid, AudioTooLong or AudioEmpty for what is no clip of speech.

    ``shortest_samples`` is 0.02 s unless an engine needs more.
    """
    samples = clip.samples
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise AudioInvalid(
            f"A clip has {samples.ndim} dimensions of {samples.dtype}.",
            "Give float32 samples as [n].",
        )
    if clip.duration_s > longest_s:
        raise AudioTooLong(
            f"A clip is {clip.duration_s:.1f} s; the engine takes {longest_s:.0f} s."
        )
    if len(samples) < shortest_samples:
        raise AudioEmpty(f"A clip has {len(samples)} samples; that is no speech.")
    if not np.isfinite(samples).all():
        raise AudioInvalid("A clip holds samples that are no numbers.", "Make them silence.")


def gate(clip: Clip) -> str | None:
    """Why a clip is not worth decoding: too short for a sound of speech, or silent."""
    if clip.duration_s < _SHORTEST_S:
        return "gate.short"
    if clip.speech_s is not None and clip.speech_s <= 0.0:
        return "gate.silence"
    count = len(clip.samples) // _WINDOW_SAMPLES
    windows = clip.samples[: count * _WINDOW_SAMPLES].reshape(count, _WINDOW_SAMPLES)
    loudest = float(np.sqrt(np.square(windows.astype(np.float64)).mean(axis=1)).max())
    return "gate.silence" if loudest < _SILENT else None
