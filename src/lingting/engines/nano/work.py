"""One clip on its way through the engine, and what is decided about it outside the networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import Clip, Hypothesis, RecognizeOptions
from lingting.engines.nano.generation import Generated
from lingting.engines.nano.networks import Encoded
from lingting.errors import EngineFailed, LingtingError

# More than anybody says; a loop ends there, and each clip's place in the cache is as long.
TOKENS_PER_S = 16.0  # Hindi and Thai are spelt in bytes
TOKENS_PER_S_NANO = 10.0  # Chinese, English and Japanese: Mandarin needs 3, digits up to 6
_TOKENS_MIN = 24
_TOKENS_MOST = 512
_WEAK_SPEECH = 0.68  # a detector's mean score below which a clip is hardly speech


@dataclass(slots=True, eq=False)
class Work:
    """One clip on its way."""

    at: int
    clip: Clip
    features: NDArray[np.float32]
    kept: int
    """Rows of the adaptor that the language model reads."""
    wants_branch: bool
    language: str | None
    """What the prompt names; None leaves it to the model."""
    notes: list[str] = field(default_factory=list)
    encoded: Encoded | None = None
    generated: Generated | None = None
    hypothesis: Hypothesis | None = None

    @property
    def frames(self) -> int:
        return len(self.features)

    @property
    def options(self) -> RecognizeOptions:
        return self.clip.options


def trained_rows(frames: int) -> int:
    """How many of the adaptor's rows the language model was trained to read: about an eighth.

    Three times the length of a convolution of stride 2, from funasr's ``fun_asr_nano``.
    """
    for _ in range(3):
        frames = 1 + (frames - 1) // 2
    return frames


def batches(works: Sequence[Work], most_frames: int) -> Iterator[list[Work]]:
    """Clips of similar length, the longest first, bounded frames with padding."""
    batch: list[Work] = []
    for work in sorted(works, key=lambda one: (-one.frames, one.at)):
        if batch and (len(batch) + 1) * batch[0].frames > most_frames:
            yield batch
            batch = []
        batch.append(work)
    if batch:
        yield batch


def is_weak(clip: Clip) -> bool:
    return clip.speech_score is not None and clip.speech_score < _WEAK_SPEECH


def most_tokens(clip: Clip, tokens_per_s: float = TOKENS_PER_S) -> int:
    """More than speech of that length can need, so that a loop ends early."""
    return min(_TOKENS_MOST, _TOKENS_MIN + math.ceil(tokens_per_s * clip.duration_s))


def settled(clip: Clip, why: LingtingError | str) -> Hypothesis:
    """What stands for a clip that was not decoded: its error, or a note."""
    if isinstance(why, LingtingError):
        return Hypothesis("", clip.options.language, error=why)
    return Hypothesis("", clip.options.language, notes=(why,))


def contained(run: Callable[[Sequence[Work]], None], works: Sequence[Work]) -> None:
    """``run`` on all clips; when it fails, on each half, so that one clip spoils no other."""
    try:
        with _engine_errors():
            run(works)
    except EngineFailed as error:
        if len(works) == 1:
            works[0].hypothesis = settled(works[0].clip, error)
            return
        middle = len(works) // 2
        for half in (works[:middle], works[middle:]):
            if half:
                contained(run, half)


@contextmanager
def _engine_errors() -> Iterator[None]:
    """PyTorch speaks in RuntimeError; the cause stays attached."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError, MemoryError) as exc:
        raise EngineFailed("The recogniser failed on a batch of clips.") from exc
