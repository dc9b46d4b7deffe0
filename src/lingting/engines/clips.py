"""What every engine asks of a clip before it works on it."""

from __future__ import annotations

import numpy as np

from lingting.engines.base import MAX_CLIP_S, Clip
from lingting.errors import AudioEmpty, AudioInvalid, AudioTooLong


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
