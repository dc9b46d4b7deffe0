"""What passes is waited for: a database that is locked, a full disk, an engine that is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from lingting.engines.base import Clip, Engine, EngineFacts, Hypothesis, LanedEngine
from lingting.errors import BusyError, EngineUnreachable, LingtingError, StoreUnreachable

T = TypeVar("T")
Loader = Callable[[str], Engine]
"""From a model's name to an engine. Many threads ask the engine at once."""
log = logging.getLogger("lingting.jobs")

_FIRST_WAIT_S = 0.1
_MOST_WAIT_S = 3.0


def passes(error: LingtingError) -> bool:
    """Whether the same can succeed later without anybody changing the request."""
    return error.retryable or isinstance(error, (BusyError, EngineUnreachable, StoreUnreachable))


@dataclass(frozen=True, slots=True)
class Patience:
    """Waits between attempts; ``check`` is called before each and ends it by what it raises."""

    check: Callable[[], None]
    stop: threading.Event
    """Set when the worker stops: then nobody sleeps."""

    def until(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, as soon as it gives anything but an error that passes."""
        wait_s, told = _FIRST_WAIT_S, ""
        while True:
            try:
                return work()
            except LingtingError as error:
                if not passes(error):
                    raise
                if error.code != told:  # once, however long it lasts
                    log.warning("waiting", extra={"code": error.code})
                    told = error.code
            wait_s = self.wait(wait_s)

    def wait(self, wait_s: float) -> float:
        """The next, longer wait."""
        self.stop.wait(wait_s)
        self.check()
        return min(2 * wait_s, _MOST_WAIT_S)


class Engines:
    """Engines by the name of their model, made when they are first asked for."""

    def __init__(self, load: Loader) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._engines: dict[str, Engine] = {}

    def get(self, model: str) -> Engine:
        """Raises what loading raises; the next call tries again."""
        with self._lock:
            if model not in self._engines:
                self._engines[model] = self._load(model)
            return self._engines[model]

    def facts(self, model: str) -> EngineFacts:
        """Of the engine of this model. Anybody may write the name of a model into a job: one that
        turns out to be nobody's is not kept, and its engine ends with those who still ask it."""
        engine = self.get(model)
        try:
            return engine.facts
        except LingtingError as error:
            if not passes(error):
                with self._lock:
                    if self._engines.get(model) is engine:
                        del self._engines[model]
            raise

    def close(self) -> None:
        with self._lock:
            for one in self._engines.values():
                one.close()
            self._engines.clear()


class PatientEngine:
    """An engine that never fails for a reason that passes, neither as a whole nor for a clip."""

    def __init__(
        self, engines: Engines, model: str, patience: Patience, *, lane: str | None = None
    ) -> None:
        """``lane`` is for engines that have some; None is their own choice."""
        self._lane = lane
        self._engines = engines
        self._model = model
        self._patience = patience

    @property
    def facts(self) -> EngineFacts:
        return self._patience.until(lambda: self._engines.facts(self._model))

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in order; those that could not be heard yet are asked again."""
        found: dict[int, Hypothesis] = {}
        wait_s, told = _FIRST_WAIT_S, 0
        while True:
            left = [at for at in range(len(clips)) if at not in found]
            heard = self._patience.until(lambda left=left: self._asked(clips, left))  # type: ignore[misc]
            for at, one in zip(left, heard, strict=True):
                if one.error is None or not passes(one.error):
                    found[at] = one
            if len(found) == len(clips):
                return [found[at] for at in range(len(clips))]
            missing = len(clips) - len(found)
            if missing != told:
                told = missing
                log.warning("waiting", extra={"clips": missing})
            wait_s = self._patience.wait(wait_s)

    def close(self) -> None:
        """The engine is shared; whoever made it closes it."""

    def _asked(self, clips: Sequence[Clip], which: list[int]) -> list[Hypothesis]:
        engine = self._engines.get(self._model)
        asked = [clips[at] for at in which]
        if self._lane is not None and hasattr(engine, "lanes"):
            return cast(LanedEngine, engine).recognize(asked, lane=self._lane)
        return engine.recognize(asked)


class Budget:
    """Seconds of audio that are held at a time, over all recordings."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._held_s = 0.0
        self._changed = threading.Condition()

    def take(self, audio_s: float) -> None:
        """Waits for room; more than there is at all is let through alone."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._held_s == 0.0 or self._held_s + audio_s <= self._most_s
            )
            self._held_s += audio_s

    @property
    def is_easy(self) -> bool:
        """Less than half of it is used: there is room to read ahead."""
        return self._held_s < self._most_s / 2

    def give(self, audio_s: float) -> None:
        with self._changed:
            self._held_s -= audio_s
            if self._held_s < 1e-3:
                self._held_s = 0.0
            self._changed.notify_all()


class Pace:
    """Seconds of audio in a second, over the last minute."""

    def __init__(self, window_s: float = 60.0) -> None:
        self._window_s = window_s
        self._lock = threading.Lock()
        self._done: list[tuple[float, float]] = []
        self._since_s = time.monotonic()

    def note(self, audio_s: float) -> None:
        with self._lock:
            self._done.append((time.monotonic(), audio_s))

    def speed(self, *, is_idle: bool = False) -> float | None:
        """None before anything was done; while nothing is under way, what it was last."""
        now_s = time.monotonic()
        with self._lock:
            if not self._done:
                return None
            if is_idle:
                now_s = self._done[-1][0]
            first_s = now_s - self._window_s
            self._done = [one for one in self._done if one[0] >= first_s] or self._done[-1:]
            spent_s = max(now_s - max(self._since_s, first_s), 0.1)
            return sum(audio_s for _, audio_s in self._done) / spent_s
