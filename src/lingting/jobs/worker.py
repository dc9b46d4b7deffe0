"""The worker: takes up jobs, keeps them going, stands in for workers that fell silent.

::

    claims   queued rows ──► workflows, one for each, in threads      every 0.2 s
    beat     its own row; silent workers; jobs nobody works on         every 5 s
    care     old rows, retention, folders, one after another           as each asks

Three things keep a job from being lost or done twice: its row names its worker and epoch, every
write is refused when that has changed, and whatever is this worker's by its row while no thread of
it works on it goes back to the queue.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lingting.errors import LingtingError
from lingting.jobs import bells
from lingting.jobs.folders import WATCHED_KEYS
from lingting.jobs.patience import Budget, Engines, Loader, Pace
from lingting.jobs.readers import STALL_S, Readers
from lingting.jobs.run import JobRun, Tools
from lingting.jobs.slots import take_slot
from lingting.jobs.workflows import Workflows
from lingting.store import Store, jobs, work
from lingting.store.records import Claim

log = logging.getLogger("lingting.jobs")

_EVENTS_AGE = timedelta(days=7)
_REQUESTS_AGE = timedelta(days=30)
_CARE_S = 1.0
_BREATH_S = 0.5
"""Behind a failure, so that one that lasts is not tried in a circle."""
_BELL_S = 0.5
_SMALLEST_WAIT_S = 0.02
"""Between two claims: jobs that end together are followed by jobs that begin together."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How much, how often, how long; the defaults are those of the service."""

    slots: int = 48
    readers: int = 2
    poll_s: float = 0.2
    beat_s: float = 5.0
    dead_after_s: float = 30.0
    grace_s: float = 10.0
    """After its start it waits so long for DBOS before it gives jobs nobody works on back."""
    ahead_s: float = 1200.0
    """Seconds of audio that are held at a time."""
    drain_s: float = 55.0
    """How long a group that is under way may take when the worker is asked to stop; what supervises
    it waits 60 s, in which it has to say goodbye too."""
    stall_s: float = STALL_S
    diary_s: float = 600.0
    """How long DBOS keeps what it knows of a claim that has ended."""
    max_duration_s: float = 12 * 3600.0
    model: str = "auto"
    """What ``auto`` of a job's options means."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done again and again. Several workers may do it at the same time."""

    name: str
    every_s: float
    run: Callable[[Store], object]


class Worker:
    """One process's share of the work, until ``run`` is told to stop."""

    def __init__(
        self,
        store: Store,
        load: Loader,
        vad_folder: Path,
        run_folder: Path,
        options: WorkerOptions | None = None,
        *,
        chores: Sequence[Chore] = (),
    ) -> None:
        """``load`` makes the engine of a model; many threads will ask it at once."""
        self._options = options or WorkerOptions()
        self._store = store
        self._slot = take_slot(run_folder)
        self._bell = _bell(run_folder)
        self._stop = threading.Event()
        """Threads give their jobs back."""
        self._is_over = threading.Event()
        """Nothing is left to look after."""
        self._freed = threading.Event()
        self._lock = threading.Lock()
        self._working: dict[str, int] = {}
        self._fresh: dict[str, Claim] = {}
        self._late_writes = 0
        self._engines = Engines(load)
        self._readers = Readers(
            vad_folder,
            count=self._options.readers,
            max_duration_s=self._options.max_duration_s,
            stall_s=self._options.stall_s,
        )
        self._tools = Tools(
            store=store,
            readers=self._readers,
            engines=self._engines,
            budget=Budget(self._options.ahead_s),
            ahead=ThreadPoolExecutor(self._options.readers, thread_name_prefix="lingting-ahead"),
            pace=Pace(),
            stop=self._stop,
            worker_id=self._slot.id,
            default_model=self._options.model,
            max_duration_s=self._options.max_duration_s,
            ring=lambda: bells.ring(run_folder, "web"),
        )
        self._watch = Watch(self._slot.id, self._options.dead_after_s)
        self._chores = [*chores, Chore("forget old rows", 600.0, _forget_old)]

    def run(self, stop: threading.Event) -> bool:
        """Work until ``stop`` is set; then finish the groups that are under way.

        False when one of them took too long: then threads are left that nothing can end but the
        end of the process.
        """
        self._beat()
        self._workflows = Workflows(
            self._store.folder,
            self._store.database.url,
            self._slot.id,
            begin=self._begin,
            end=self._end,
            threads=self._options.slots,
        )
        diary_s = self._options.diary_s
        own = Chore(
            "forget workflows", min(60.0, diary_s), lambda _: self._workflows.forget_ended(diary_s)
        )
        threads = [
            threading.Thread(target=work, name=f"lingting-{name}", daemon=True, args=args)
            for name, work, args in (
                ("beat", self._keep_beating, ()),
                ("care", self._keep_caring, ([*self._chores, own],)),
                ("bell", self._keep_listening, ()),
            )
        ]
        log.info("worker started", extra={"worker": self._slot.id, "pid": os.getpid()})
        for one in threads:
            one.start()
        try:
            self._keep_claiming(stop)
        finally:
            is_drained = self._drain()
            self._is_over.set()
            for one in threads:
                one.join(self._options.beat_s)
            self._close()
        return is_drained

    # Claiming ----------------------------------------------------------------------------------

    def _keep_claiming(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._freed.clear()
            with self._patient("claim"):
                self._claim()
            stop.wait(_SMALLEST_WAIT_S)
            self._freed.wait(self._options.poll_s)

    def _keep_listening(self) -> None:
        """Somebody has submitted something: look for it now."""
        while self._bell is not None and not self._is_over.is_set():
            if self._bell.wait(_BELL_S):
                self._freed.set()

    def _claim(self) -> None:
        with self._lock:
            free = self._options.slots - len(self._working)
        if free <= 0:
            return
        with self._store.database.read() as session:
            if not jobs.waiting(session):
                return
        claims: list[Claim] = []
        try:
            with self._store.database.write() as session:
                claims = work.claim(session, self._slot.id, free)
                # Before the rows say so: who looks for jobs nobody works on must find them here.
                with self._lock:
                    self._working.update({one.job_id: one.epoch for one in claims})
                    self._fresh.update({one.job_id: one for one in claims if not one.groups})
        except BaseException:
            for one in claims:
                self._end(one.job_id, one.epoch, "broken")
            raise
        for one in claims:
            try:
                self._workflows.start(one.job_id, one.epoch)
            except Exception as exc:
                told = {"job": one.job_id, "kind": type(exc).__name__}
                log.error("workflow not started", extra=told)
                self._end(one.job_id, one.epoch, "broken")

    def _begin(self, job_id: str, epoch: int) -> JobRun:
        with self._lock:
            self._working[job_id] = max(epoch, self._working.get(job_id, 0))
            fresh = self._fresh.pop(job_id, None)
        is_fresh = fresh is not None and fresh.epoch == epoch
        return JobRun(self._tools, job_id, epoch, fresh if is_fresh else None)

    def _end(self, job_id: str, epoch: int, ending: str) -> None:
        with self._lock:
            if self._working.get(job_id) == epoch:
                del self._working[job_id]
                self._fresh.pop(job_id, None)
            self._late_writes += ending == "lost"
        self._freed.set()

    # Beating -----------------------------------------------------------------------------------

    def _keep_beating(self) -> None:
        sweep_s = time.monotonic() + self._options.grace_s
        while not self._is_over.wait(self._options.beat_s):
            with self._patient("beat"):
                self._beat()
            if time.monotonic() >= sweep_s:
                with self._patient("sweep"):
                    self._take_back()

    def _beat(self) -> None:
        """Say that it lives, and look who does not."""
        with self._lock:
            count, late = len(self._working), self._late_writes
        speed = self._tools.pace.speed(is_idle=count == 0)
        with self._store.database.write() as session:
            was_live = work.beat(
                session, self._slot.id, pid=os.getpid(), jobs=count, speed=speed, late_writes=late
            )
            seen = work.workers(session)
            strays = work.strays(session, [one.id for one in seen if one.is_live])
        if not was_live:
            log.warning("worker had been given up", extra={"worker": self._slot.id})
        beats = {one.id: one.beats for one in seen if one.is_live}
        for worker_id in self._watch.silent({**dict.fromkeys(strays, -1), **beats}):
            with self._store.database.write() as session:
                if worker_id in beats:
                    count = work.bury(session, worker_id, beats[worker_id])
                else:
                    count = work.take_back(session, worker_id, ())
            log.warning("worker taken over", extra={"worker": worker_id, "jobs": count})

    def _take_back(self) -> None:
        """Jobs that are ours by their rows and in no thread: back to the queue."""
        with self._store.database.read() as session:
            found = work.jobs_of(session, self._slot.id)
        with self._lock:
            lost = [one for one in found if one not in self._working]
        if not lost:
            return
        with self._store.database.write() as session:
            with self._lock:
                working = list(self._working)
            count = work.take_back(session, self._slot.id, working)
        log.warning("jobs taken back", extra={"jobs": count})

    # Care --------------------------------------------------------------------------------------

    def _keep_caring(self, chores: list[Chore]) -> None:
        due_s = {one.name: time.monotonic() for one in chores}
        while not self._is_over.wait(_CARE_S):
            now_s = time.monotonic()
            for one in chores:
                if now_s >= due_s[one.name] and not self._is_over.is_set():
                    due_s[one.name] = now_s + one.every_s
                    with self._patient(one.name):
                        one.run(self._store)

    @contextmanager
    def _patient(self, what: str) -> Iterator[None]:
        """Whatever fails in here is logged and tried again at the next turn."""
        try:
            yield
        except LingtingError as error:
            log.warning("chore failed", extra={"chore": what, "code": error.code})
            self._is_over.wait(_BREATH_S)
        except Exception as exc:
            log.error("chore failed", extra={"chore": what, "kind": type(exc).__name__})
            self._is_over.wait(_BREATH_S)

    # Stopping ----------------------------------------------------------------------------------

    def _drain(self) -> bool:
        self._stop.set()  # each thread gives its job back behind the group it is at
        until_s = time.monotonic() + self._options.drain_s
        while time.monotonic() < until_s:
            with self._lock:
                if not self._working:
                    return True
            self._freed.wait(0.05)
            self._freed.clear()
        return False

    def _close(self) -> None:
        with suppress(LingtingError), self._store.database.write() as session:
            work.leave(session, self._slot.id)
        self._readers.close()
        self._tools.ahead.shutdown(wait=False, cancel_futures=True)
        with suppress(Exception):
            self._workflows.close()
        self._engines.close()
        self._slot.leave()
        if self._bell is not None:
            self._bell.close()
        log.info("worker stopped", extra={"worker": self._slot.id})


class Watch:
    """Who has not changed for too long, by this process's own clock.

    A worker that could not look for a while, because it was frozen or the database was locked,
    starts counting anew: the others may have been held up by the same.
    """

    def __init__(self, own_id: str, dead_after_s: float) -> None:
        self._own_id = own_id
        self._dead_after_s = dead_after_s
        self._seen: dict[str, tuple[int, float]] = {}
        self._looked_s = time.monotonic()

    def silent(self, beats: dict[str, int]) -> list[str]:
        now_s = time.monotonic()
        if now_s - self._looked_s > self._dead_after_s / 2:
            self._seen.clear()
        self._looked_s = now_s
        seen = {}
        for worker_id, count in beats.items():
            before = self._seen.get(worker_id)
            if worker_id != self._own_id:
                is_same = before is not None and before[0] == count
                seen[worker_id] = before if before is not None and is_same else (count, now_s)
        self._seen = seen
        return [
            worker_id
            for worker_id, (_, since_s) in seen.items()
            if now_s - since_s >= self._dead_after_s
        ]


def _bell(run_folder: Path) -> bells.Bell | None:
    """None where there are no named pipes: then looking now and then is all there is."""
    try:
        return bells.Bell(run_folder, "worker")
    except OSError as exc:
        log.warning("no bell", extra={"reason": exc.strerror})
        return None


def _forget_old(store: Store) -> None:
    with store.database.write() as session:
        work.forget_old(
            session, events_age=_EVENTS_AGE, requests_age=_REQUESTS_AGE, kept_keys=WATCHED_KEYS
        )
