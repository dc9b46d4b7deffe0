"""What to do when the engine fails on a batch: never crash, never lose a clip.

::

    out of memory ─ clear caches ─ halves ─ one clip ─ on the CPU ─ wait ─ its own error
    anything else ─ halves ─ one clip ─ its own error

An engine says that memory ran out by an exception, or by errors on single hypotheses; both count.
Results of the CPU say so by the note ``memory.cpu``: another device may write another text. Often
another program took the memory and gives it back: a clip that fits nowhere is tried again for a
while. Where that did not help, the clips after it are not waited for, until one of them fits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from lingting.engines.base import Clip, Engine, Hypothesis
from lingting.errors import EngineFailed, LingtingError

_WORDS = (
    "out of memory",
    "bad_alloc",
    "failed to allocate",
    "alloc_failed",
    "cannot allocate",
    "can't start new thread",
)
_WAITS_S = (0.5, 1.0, 2.0, 4.0, 4.0)
_DEEPEST_CAUSE = 8

OnLack = Callable[[str, float], None]
"""Hears of each step (cleared, halved, cpu, failed) and of how many seconds did not fit."""


def is_out_of_memory(exc: BaseException | None) -> bool:
    """Whether memory is the cause, as Python, PyTorch, CTranslate2 and oneDNN say it."""
    for _ in range(_DEEPEST_CAUSE):
        if exc is None:
            return False
        if isinstance(exc, MemoryError) or type(exc).__name__ == "OutOfMemoryError":
            return True
        text = str(exc).lower()
        if isinstance(exc, RuntimeError) and any(word in text for word in _WORDS):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


class Ladder:
    """An engine that gives one hypothesis per clip whatever happens inside. One caller."""

    def __init__(
        self,
        engine: Engine,
        *,
        load_spare: Callable[[], Engine] | None,
        clear: Callable[[], None],
        on_lack: OnLack,
    ) -> None:
        """``load_spare`` loads the same model on the CPU; None when that is where it is."""
        self.engine = engine
        self._load_spare = load_spare
        self._spare: Engine | None = None
        self._clear = clear
        self._on_lack = on_lack
        self._waits_s: tuple[float, ...] = _WAITS_S

    def close(self) -> None:
        """Both engines; what they raise is of no use any more."""
        for engine in (self.engine, self._spare):
            if engine is not None:
                with suppress(Exception):
                    engine.close()
        self._spare = None

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in order; raises nothing."""
        try:
            found = _recognized(self.engine, clips)
        except Exception as exc:
            failure = exc
        else:
            return self._with_room(clips, found)
        # Outside the handler: the exception's frames would hold on to what did not fit.
        if is_out_of_memory(failure):
            del failure
            return self._smaller(clips)
        if len(clips) == 1:
            return [_failed(clips[0], failure)]
        del failure
        middle = len(clips) // 2
        return [*self.recognize(clips[:middle]), *self.recognize(clips[middle:])]

    def _with_room(self, clips: Sequence[Clip], found: list[Hypothesis]) -> list[Hypothesis]:
        """Clips whose own error is a lack of memory are heard again."""
        lacking = [at for at, one in enumerate(found) if is_out_of_memory(one.error)]
        if len(lacking) < len(clips):
            self._waits_s = _WAITS_S  # there is memory again
        if not lacking:
            return found
        found = [one if at not in lacking else Hypothesis("") for at, one in enumerate(found)]
        again = self._smaller([clips[at] for at in lacking])
        for at, hypothesis in zip(lacking, again, strict=True):
            found[at] = hypothesis
        return found

    def _smaller(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        seconds = sum(clip.duration_s for clip in clips)
        self._on_lack("cleared", seconds)
        self._clear()
        if len(clips) == 1:
            return [self._alone(clips[0])]
        self._on_lack("halved", seconds)
        middle = len(clips) // 2
        return [*self.recognize(clips[:middle]), *self.recognize(clips[middle:])]

    def _alone(self, clip: Clip) -> Hypothesis:
        """Once more with everything cleared, then on the CPU, then after a while."""
        for wait_s in (0.0, *self._waits_s):
            if wait_s:
                self._on_lack("waited", clip.duration_s)
                time.sleep(wait_s)
                self._clear()
            hypothesis = self._somewhere(clip)
            if not is_out_of_memory(hypothesis.error):
                self._waits_s = _WAITS_S
                return hypothesis
        self._waits_s = ()
        self._on_lack("failed", clip.duration_s)
        error = EngineFailed(
            "There is not enough memory for this clip.", "Free memory on the engine's machine."
        )
        return Hypothesis("", clip.options.language, error=error)

    def _somewhere(self, clip: Clip) -> Hypothesis:
        """On the device, else on the CPU."""
        hypothesis = _alone(self.engine, clip)
        if not is_out_of_memory(hypothesis.error):
            return hypothesis
        spare = self._cpu()
        if spare is None:
            return hypothesis
        self._on_lack("cpu", clip.duration_s)
        hypothesis = _alone(spare, clip)
        return replace(hypothesis, notes=(*hypothesis.notes, "memory.cpu"))

    def _cpu(self) -> Engine | None:
        if self._spare is None and self._load_spare is not None:
            try:
                self._spare = self._load_spare()
            except Exception as exc:
                if not is_out_of_memory(exc):  # no such model for a CPU
                    self._load_spare = None
        return self._spare


def _recognized(engine: Engine, clips: Sequence[Clip]) -> list[Hypothesis]:
    found = engine.recognize(clips)
    if len(found) != len(clips):
        raise EngineFailed(f"{len(clips)} clips were given, {len(found)} came back.")
    return found


def _alone(engine: Engine, clip: Clip) -> Hypothesis:
    try:
        return _recognized(engine, [clip])[0]
    except Exception as exc:
        return _failed(clip, exc)


def _failed(clip: Clip, exc: Exception) -> Hypothesis:
    """The clip's error; a foreign exception stays attached and is never quoted."""
    if isinstance(exc, LingtingError):
        error = exc
    else:
        error = EngineFailed("The recogniser failed on a clip.")
        error.__cause__ = exc
    return Hypothesis("", clip.options.language, error=error)
