"""One model in the host: its queue, its thread, and the engine that only this thread touches.

::

    absent ─ the first clip, or asked to ─► loading ─► ready ─ idle, or asked to ─► absent
                                               │
                                               └─────► failed ─ the next clip, after a while ─► …
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from lingting.engines.base import Clip, Engine, EngineFacts, Hypothesis
from lingting.engines.envelope import LANES
from lingting.errors import EngineBusy, EngineFailed, LingtingError
from lingting.host.hands import Hands
from lingting.host.incidents import incident
from lingting.host.ladder import Ladder, is_out_of_memory
from lingting.host.lanes import Entry, Lanes
from lingting.host.metrics import Metrics
from lingting.host.pace import Pace
from lingting.host.work import Job, Place

State = Literal["absent", "loading", "ready", "failed"]
Load = Callable[[str, str | None], Engine]
"""A model by its name, on the device named or the configured one. Only the thread of it calls."""

_ALONE_AFTER_S = 60.0
_MOST_CLIPS = 512  # in a batch
_FAILED_FOR_S = 10.0  # before a model that could not be loaded is tried again
_BREATH_S = 0.5
_MOST_FAILURES = 20  # turns in a row, before the clips are given back
_GATHER_SHARE = 0.02
_GATHER_S = 0.005
_FEW = 2  # clips that wait for each hand
_SINGLY = dict.fromkeys(LANES, 0.0)  # the first clip, and what lower lanes have earned


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a model needs of its host."""

    load: Load
    clear: Callable[[], None]
    """Gives back memory that caches hold."""
    deliver: Callable[[list[Job]], None]
    """Takes requests that are answered; called from the model's thread."""
    tell: Callable[[Mapping[str, Any]], None]
    """Takes events for the log."""
    metrics: Metrics
    idle_s: float | None


class HostedModel:
    """Every method may be called from any thread."""

    def __init__(self, name: str, around: Surroundings) -> None:
        self.name = name
        self._around = around
        self._lanes: Lanes[Place] = Lanes()
        self._pace = Pace(0.0)
        self._ladder: Ladder | None = None
        self._hands: Hands | None = None
        self._is_singly = False
        self._urgent_in_hand = 0  # clips that somebody waits for
        self._state: State = "absent"
        self._facts: EngineFacts | None = None
        self._error: LingtingError | None = None
        self._failed_at_s = 0.0
        self._used_at_s = 0.0
        self._asked_at_s = -_ALONE_AFTER_S  # when something was wanted sooner than bulk work
        self._batches = 0
        self._began_s: float | None = None  # this turn; None while it waits
        self._gather: tuple[int, float] = (0, 0.0)
        self._taken: list[Entry[Place]] = []
        self._returned: list[Entry[Place]] = []  # by hands that had no memory for them
        self._undelivered: list[Job] = []
        self._wake = threading.Condition()
        self._orders: set[str] = set()
        self._is_waiting = False
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    # For anybody --------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._state

    @property
    def facts(self) -> EngineFacts | None:
        """Known from the first time the model was loaded."""
        return self._facts

    @property
    def error(self) -> LingtingError | None:
        """Why it could not be loaded."""
        return self._error

    @property
    def batches(self) -> int:
        """How many began."""
        return self._batches

    @property
    def waiting_s(self) -> float:
        return self._lanes.seconds

    @property
    def waiting_clips(self) -> int:
        return len(self._lanes)

    @property
    def is_busy(self) -> bool:
        """Clips wait or are recognised."""
        return bool(len(self._lanes)) or self._recognising > 0

    @property
    def _recognising(self) -> int:
        """Clips that were taken and are not answered."""
        hands = self._hands
        return len(self._taken) + len(self._returned) + (0 if hands is None else hands.busy)

    @property
    def at_work_s(self) -> float:
        """For how long it has been at one batch, or at loading its model; 0 between them."""
        began_s, hands = self._began_s, self._hands
        in_hand_s = 0.0 if hands is None else hands.longest_s
        return max(in_hand_s, 0.0 if began_s is None else time.monotonic() - began_s)

    def lanes(self) -> list[tuple[str, int, float]]:
        """Name, clips and seconds of each lane."""
        return list(self._lanes.waiting())

    def wait_s(self, waiting_s: float) -> float:
        """About how long so much audio takes here."""
        return self._pace.wait_s(waiting_s)

    def status(self) -> dict[str, Any]:
        """What `GET /status` shows."""
        clips = self._recognising
        return {
            "state": self._state,
            "error": None if self._error is None else self._error.as_dict(),
            "batches": self._batches,
            "recognising_clips": clips,
            "recognising_for_s": round(self.at_work_s, 3) if clips else None,
            "rate": None if self._pace.rate is None else round(self._pace.rate, 2),
            "budgets_s": {k: round(v, 1) for k, v in self._budgets().items()},
            "waiting": {n: {"clips": c, "audio_s": round(s, 3)} for n, c, s in self.lanes()},
        }

    def add(self, job: Job) -> None:
        """Its clips wait from now on. Raises why the model cannot be loaded."""
        with self._wake:
            self._check_usable()
            self._have_thread()
            if job.lane != LANES[-1]:
                self._asked_at_s = time.monotonic()
            job.first_batch = self._batches + 1
            for at, clip in enumerate(job.clips):
                assert clip is not None
                entry = Entry(job.lane, clip.duration_s, Place(job, at))
                job.entries.append(entry)
                self._lanes.add(entry)
            self._rouse()

    def _check_usable(self) -> None:
        if self._is_stopping:
            raise EngineBusy("This engine host is stopping.", retry_after_s=2.0)
        left_s = self._failed_at_s + _FAILED_FOR_S - time.monotonic()
        if self._state == "failed" and left_s > 0 and self._error is not None:
            raise self._error

    def drop(self, job: Job) -> int:
        """Nobody waits for it any more. Returns how many clips will not be recognised."""
        with self._wake:
            job.is_dropped = True
            return sum(self._lanes.discard(entry) for entry in job.entries)

    def order(self, what: Literal["load", "unload", "clear"]) -> None:
        """Done by the model's thread between two batches; EngineBusy for what cannot be now."""
        with self._wake:
            if what == "unload" and len(self._lanes):
                raise EngineBusy(f"{len(self._lanes)} clips wait for this model.")
            self._have_thread()
            if what == "load" and self._state in ("absent", "failed"):
                self._check_usable()
                self._state = "loading"
            self._orders.add(what)
            self._rouse()

    def hand_back(self, error: LingtingError) -> None:
        """Every clip that waits is answered with an error."""
        with self._wake:
            entries = self._lanes.clear()
        self._settle(entries, [_failed(error)] * len(entries))

    def stop(self) -> None:
        """The thread ends after its batch; nothing new is taken."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended."""
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def _have_thread(self) -> None:
        """Before anything waits for it. Raises EngineBusy when there is no memory for one."""
        if self._thread is not None and self._thread.is_alive():
            return
        thread = threading.Thread(target=self._run, name=f"lingting-{self.name}"[:40], daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as exc:
            raise EngineBusy(
                "This engine host has no memory for a thread.", retry_after_s=2.0
            ) from exc
        self._thread = thread
        self._is_waiting = False

    def _rouse(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._wake.notify()

    # In the model's own thread --------------------------------------------------------------

    def _run(self) -> None:
        """Until it is stopped. What fails here is ours, or memory for the smallest things."""
        failures = 0
        while True:
            try:
                if not self._turn():
                    return
                failures = 0
            except Exception as exc:
                failures += 1
                with suppress(Exception):
                    self._around.tell(incident(exc))
                if failures >= _MOST_FAILURES:
                    with suppress(Exception):  # else after the next turn
                        self._give_back(exc)
                        failures = 0
                time.sleep(_BREATH_S)

    def _give_back(self, exc: Exception) -> None:
        """Every clip, after turns that failed one after the other: nobody waits for ever."""
        error: LingtingError = EngineFailed(
            "The engine host fails on every batch.", "Look into the host's log."
        )
        if is_out_of_memory(exc):
            error = EngineBusy("This engine host has no memory for a batch.", retry_after_s=5.0)
        self._settle(self._taken, [_failed(error)] * len(self._taken))
        self._taken = []
        self.hand_back(error)

    def _turn(self) -> bool:
        """One batch, or what was ordered; False at the end."""
        self._deliver()
        # What a turn that failed had taken, and nobody has answered, comes first.
        with self._wake:
            came_back = bool(self._returned)
            self._taken += self._returned
            self._returned = []
        self._taken = [entry for entry in self._taken if entry.item is not None]
        self._began_s = None
        orders = set() if self._taken else self._next()
        self._began_s = time.monotonic()
        for why in ("unload", "idle", "stop"):
            if why in orders:
                self._unload(why)
        if "clear" in orders:
            self._clear()
        if "stop" in orders:
            return False
        if "load" in orders or self._taken:
            self._load()
        if self._taken and (came_back or not self._is_handed_out()):
            self._answer(self._taken)
        return True

    def _is_handed_out(self) -> bool:
        """Clips that are taken singly go to hands, and the turn is over."""
        hands = self._hands
        if hands is None or not self._is_singly:
            return False
        while self._taken:
            batch = self._taken[:1]
            number = self._begun()
            self._note_in_hand(batch, 1)
            try:
                hands.give(partial(self._in_hand, batch, number))
            except (RuntimeError, MemoryError):  # no thread: this one does it
                self._note_in_hand(batch, -1)
                return False
            del self._taken[0]
        return True

    def _note_in_hand(self, batch: list[Entry[Place]], change: int) -> None:
        with self._wake:
            self._urgent_in_hand += change * sum(one.lane != LANES[-1] for one in batch)

    def _in_hand(self, batch: list[Entry[Place]], number: int) -> None:
        """In the thread of a hand; raises nothing. Without memory the next turn does it."""
        try:
            self._recognize_in_hand(batch, number)
        finally:
            self._note_in_hand(batch, -1)

    def _recognize_in_hand(self, batch: list[Entry[Place]], number: int) -> None:
        try:
            self._settle(batch, self._recognized(batch), number)
        except MemoryError:
            with self._wake:
                self._returned += batch
        except Exception as exc:
            with suppress(Exception):
                self._around.tell(incident(exc))
            error = EngineFailed("The engine host failed on a clip.")
            with suppress(Exception):  # what cannot be delivered now is by the next turn
                self._settle(batch, [_failed(error)] * len(batch), number)

    def _on_free(self) -> None:
        with self._wake:
            self._rouse()

    def _clear(self) -> None:
        """Caches that cannot be cleared are no reason to stop."""
        try:
            self._around.clear()
        except Exception as exc:
            self._around.tell(incident(exc))

    def _next(self) -> set[str]:
        """Waits for clips, an order, or the end of patience with an idle model.

        The clips of the next batch are in ``_taken`` then.
        """
        with self._wake:
            while not (self._can_take() or self._orders or self._is_stopping):
                idle_s = self._around.idle_s
                left_s = None
                is_idle = not len(self._lanes) and not self._recognising
                if self._state == "ready" and idle_s is not None and is_idle:
                    left_s = self._used_at_s + idle_s - time.monotonic()
                    if left_s <= 0:
                        return {"idle"}
                self._pause(left_s)
            if self._is_stopping:
                return {"stop"}
            is_ready = self._ladder is not None
            if is_ready and self._hands is None:
                self._gather_more()
            # Before a model is loaded nobody knows its pace, and one clip shows it.
            self._is_singly = is_ready and self._is_for_hands()
            if not self._returned:
                budgets = _SINGLY if self._is_singly else self._budgets()
                self._taken = self._lanes.take(budgets, _MOST_CLIPS if is_ready else 1)
            orders, self._orders = self._orders, set()
            return orders

    def _can_take(self) -> bool:
        """Clips wait, and whoever is to recognise them is free."""
        if self._returned:
            return True
        if self._hands is None or not self._is_for_hands():
            return bool(len(self._lanes))
        return bool(len(self._lanes)) and self._hands.is_free

    def _is_for_hands(self) -> bool:
        """Somebody waits for a clip, or so few wait that a batch of them would leave cores without
        work at its end.

        A clip that somebody waits for and that is in a hand has no batch begun beside it, which
        would take the core from it and from the next such clip.
        """
        if self._hands is None:
            return False
        if self._urgent_in_hand:
            return True
        is_few = len(self._lanes) <= _FEW * self._hands.count
        return is_few or self._lanes.top != LANES[-1]

    def _budgets(self) -> dict[str, float]:
        is_alone = time.monotonic() - self._asked_at_s >= _ALONE_AFTER_S
        return self._pace.budgets(is_bulk_alone=is_alone)

    def _pause(self, timeout_s: float | None) -> None:
        self._is_waiting = True
        self._wake.wait(timeout_s)
        self._is_waiting = False

    def _gather_more(self) -> None:
        """Callers that were answered together come again together, a moment later.

        Without waiting for that moment they fall into two crowds that take turns, and each
        batch is half as large as it could be.
        """
        expected, wait_s = self._gather
        self._gather = (0, 0.0)
        until_s = time.monotonic() + wait_s
        while len(self._lanes) < expected and self._lanes.top != "live":
            left_s = until_s - time.monotonic()
            if left_s <= 0 or self._is_stopping:
                return
            self._pause(left_s)

    def _load(self) -> None:
        if self._ladder is not None:
            return
        self._state = "loading"
        self._around.tell({"event": "model.loading", "model": self.name})
        began_s = time.monotonic()
        try:
            engine = self._loaded()
        except Exception as exc:
            self._not_loaded(exc)
            return
        self._facts = facts = engine.facts
        self._pace = Pace(facts.batch_s)
        self._ladder = Ladder(
            engine,
            load_spare=None if facts.device == "cpu" else self._load_spare,
            clear=self._clear,
            on_lack=self._on_lack,
        )
        if facts.callers > 1:
            self._hands = Hands(facts.callers, self._on_free)
        self._error = None
        self._used_at_s = time.monotonic()
        self._state = "ready"
        self._around.metrics.loaded(self.name, "ready")
        self._around.tell(
            {
                "event": "model.ready",
                "model": self.name,
                "device": facts.device,
                "seconds": round(self._used_at_s - began_s, 3),
            }
        )

    def _loaded(self) -> Engine:
        """On its device; where its weights do not fit there, on the CPU."""
        try:
            return self._around.load(self.name, None)
        except Exception as exc:
            if not is_out_of_memory(exc):
                raise
        self._on_lack("cpu", 0.0)
        self._clear()
        return self._load_spare()

    def _load_spare(self) -> Engine:
        return self._around.load(self.name, "cpu")

    def _not_loaded(self, exc: Exception) -> None:
        error = exc
        if not isinstance(error, LingtingError):
            error = EngineFailed("The model could not be loaded.", "Look into the host's log.")
            error.__cause__ = exc
        self._around.metrics.loaded(self.name, "failed")
        self._around.tell(
            {
                "event": "model.failed",
                "model": self.name,
                "code": error.code,
                "error": type(exc).__name__,
            }
        )
        with self._wake:
            self._error, self._failed_at_s, self._state = error, time.monotonic(), "failed"
            entries = self._lanes.clear()
        self._settle(entries, [_failed(error)] * len(entries))

    def _unload(self, why: str) -> None:
        ladder = self._ladder
        if ladder is None:
            return
        hands, self._hands = self._hands, None
        if hands is not None:
            hands.close()
        self._ladder = None
        ladder.close()
        del ladder
        self._clear()
        self._state = "absent"
        self._around.tell({"event": "model.unloaded", "model": self.name, "why": why})

    def _answer(self, batch: list[Entry[Place]]) -> None:
        """Recognise a batch; whatever happens, each of its clips is answered."""
        number = self._begun()
        try:
            found = self._recognized(batch)
        except MemoryError:
            raise  # for the smallest things; the batch is tried again
        except Exception as exc:  # ours: the ladder answers for the engine
            self._around.tell(incident(exc))
            found = [_failed(EngineFailed("The engine host failed on a batch."))] * len(batch)
        self._settle(batch, found, number)
        self._taken = []  # not before: who waits for the end of work looks at it

    def _begun(self) -> int:
        """A batch begins; its number."""
        with self._wake:
            self._batches += 1
            return self._batches

    def _recognized(self, batch: list[Entry[Place]]) -> list[Hypothesis]:
        ladder, hands = self._ladder, self._hands
        if ladder is None:
            error = self._error or EngineFailed("The model is not loaded.")
            return [_failed(error)] * len(batch)
        beside = 1 if hands is None else max(1, hands.busy)
        batch.sort(key=lambda entry: -entry.seconds)  # like beside like, and the longest first
        clips = [_clip_of(entry) for entry in batch]
        began_s = time.monotonic()
        found = ladder.recognize(clips)
        self._used_at_s = time.monotonic()
        wall_s, audio_s = self._used_at_s - began_s, sum(entry.seconds for entry in batch)
        self._pace.note(beside * audio_s, wall_s)
        self._gather = (len(batch) + len(self._lanes), min(_GATHER_S, wall_s * _GATHER_SHARE))
        self._count(batch, found, began_s, wall_s)
        return found

    def _count(
        self, batch: list[Entry[Place]], found: list[Hypothesis], began_s: float, wall_s: float
    ) -> None:
        metrics = self._around.metrics
        lanes: dict[str, list[float]] = {}
        for entry, hypothesis in zip(batch, found, strict=True):
            sums = lanes.setdefault(entry.lane, [0, 0, 0.0])
            sums[0] += 1
            sums[1] += hypothesis.error is not None
            sums[2] += entry.seconds
            if entry.item is not None and entry.item.at == 0:
                metrics.waited(entry.lane, began_s - entry.item.job.arrived_s)
        for lane, (clips, failed, audio_s) in lanes.items():
            metrics.answered(self.name, lane, int(clips), int(failed), audio_s)
        metrics.batch(self.name, len(batch), sum(sums[2] for sums in lanes.values()), wall_s)

    def _settle(
        self,
        entries: Iterable[Entry[Place]],
        found: Iterable[Hypothesis],
        number: int | None = None,
    ) -> None:
        """Each request that has all its answers goes to whoever waits for it.

        ``number`` is the batch that they were in; None: they were in none.
        """
        with self._wake:  # the clips of one request may be settled from two threads
            batch = self._batches if number is None else number
            for entry, hypothesis in zip(entries, found, strict=True):
                place = entry.item
                if place is not None and place.job.settle(place.at, hypothesis, batch):
                    self._undelivered.append(place.job)
                entry.item = None  # not before: what fails here is settled by the next turn
        self._deliver()

    def _deliver(self) -> None:
        """To who waits for them; what could not be delivered is taken along the next time."""
        with self._wake:
            jobs, self._undelivered = self._undelivered, []
        if not jobs:
            return
        try:
            self._around.deliver(jobs)
        except Exception:
            with self._wake:
                self._undelivered += jobs
            raise

    def _on_lack(self, step: str, seconds: float) -> None:
        if step == "halved":
            self._pace.shrink(seconds)
        self._around.metrics.lack(self.name, step)
        self._around.tell(
            {
                "event": "memory.lack",
                "model": self.name,
                "step": step,
                "audio_s": round(seconds, 1),
                "requests": self._requests(),
            }
        )

    def _requests(self) -> list[str]:
        """Whose clips are in the batch."""
        jobs = [entry.item.job for entry in self._taken if entry.item is not None]
        return sorted({job.request for job in jobs if job.request is not None})


def _clip_of(entry: Entry[Place]) -> Clip:
    place = entry.item
    assert place is not None
    clip = place.job.clips[place.at]
    assert clip is not None
    return clip


def _failed(error: LingtingError) -> Hypothesis:
    return Hypothesis("", error=error)
