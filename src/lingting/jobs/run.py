"""One claimed job, group by group: read, hear, store, until the transcript is there.

The rows are the truth. Whoever goes on with a job, in this process or another, begins behind the
groups that are stored; every write names the epoch of its claim and is refused when that has ended.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from lingting import log as logs
from lingting import tracing
from lingting.errors import AudioCrashes, FaultError, LingtingError
from lingting.jobs.exchange import Part
from lingting.jobs.options import JobOptions
from lingting.jobs.patience import Budget, Engines, Pace, Patience, PatientEngine
from lingting.jobs.readers import OpenRecording, ReaderDied, Readers
from lingting.pipeline.hearing import Hearing
from lingting.store import Store, work
from lingting.store.records import Claim
from lingting.store.work import ClaimLost
from lingting.transcript import ModelFacts, Segment, Transcript

T = TypeVar("T")
Ending = Literal["going", "done", "failed", "released", "lost"]
log = logging.getLogger("lingting.jobs")

_CRASH_POINTS = 3
_FAULT_POINTS = 2
_KILL_POINTS = 1
_MOST_POINTS = 6
"""Two crashes of the reading process, three faults of ours, six that may be anybody's."""
_PAUSE_S = 1.0


class Stopping(Exception):
    """The worker stops, or the job is paused: give it back."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all jobs of a worker share."""

    store: Store
    readers: Readers
    engines: Engines
    budget: Budget
    ahead: ThreadPoolExecutor
    """Reads the next group of a recording while the engine hears this one."""
    pace: Pace
    stop: threading.Event
    worker_id: str
    default_model: str
    max_duration_s: float
    ring: Callable[[], None]
    """Tell those who wait for jobs on this machine that something has happened."""


class JobRun:
    """A job while this worker has it. One thread at a time."""

    def __init__(self, tools: Tools, job_id: str, epoch: int, fresh: Claim | None = None) -> None:
        """``fresh`` is a claim that was made just now, of a job without groups."""
        self._tools = tools
        self._job_id = job_id
        self._epoch = epoch
        self._fresh_claim = fresh
        self._claim: Claim | None = None
        self._span: tracing.Begun | None = None
        self._groups = 0
        self._recording: OpenRecording | None = None
        self._ahead: Future[Part] | None = None
        self._audio = ExitStack()
        self._store_patience = Patience(self._check_stop, tools.stop)
        self._patience = Patience(self._check_use, tools.stop)

    def step(self) -> Ending:
        """The next group, stored; or the end of the job."""
        with logs.bound(job=self._job_id):
            ending = self._told_step()
        if ending != "going" and self._span is not None:
            self._span.end(**{"lingting.ending": ending, "lingting.groups": self._groups})
        return ending

    def _told_step(self) -> Ending:
        try:
            self._check_stop()
            self._open()
            assert self._claim is not None
            logs.add(request=self._claim.request_id)
            with tracing.span("group", parent=self._span_of(self._claim).traceparent) as span:
                span.set_attribute("lingting.group", self._groups)
                return self._step()
        except ClaimLost:
            log.info("claim lost", extra={"job": self._job_id, "epoch": self._epoch})
            return "lost"
        except Stopping:
            return self._release()
        except LingtingError as error:
            return self._fail(error)
        except Exception as exc:  # nobody foresaw it: not every time, or it is the job's end
            log.error("job broken", extra={"job": self._job_id, "kind": type(exc).__name__})
            return self._give_up_or_again(exc)

    def _give_up_or_again(self, exc: Exception) -> Ending:
        weight = _KILL_POINTS if isinstance(exc, OSError) else _FAULT_POINTS
        try:
            points = self._write(
                lambda session: work.note_crash(session, self._job_id, self._epoch, weight)
            )
        except (ClaimLost, Stopping):
            return "lost"
        if points >= _MOST_POINTS:
            return self._fail(FaultError("Working on the recording failed unexpectedly."))
        self._tools.stop.wait(_PAUSE_S)
        return self._release()

    def close(self) -> None:
        """Whatever it holds open."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and not ahead.cancel():
            ahead.add_done_callback(self._give_back)
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()
        self._audio.close()

    def _span_of(self, claim: Claim) -> tracing.Begun:
        """Of this claim; what was done for the job before has spans of its own."""
        if self._span is None:
            told: dict[str, str | int] = {"lingting.job": claim.job_id}
            self._span = tracing.begin("job", parent=claim.traceparent, **told)
        return self._span

    def _step(self) -> Ending:
        self._begin_again_with_another_model()
        part = self._read()
        try:
            segments = self._heard(part)
            is_paused = self._save(part, segments)
        finally:
            self._tools.budget.give(part.audio_s)
        if part.is_last:
            log.info("job done", extra={"job": self._job_id})
            return "done"
        if is_paused:
            raise Stopping
        return "going"

    # Opening -----------------------------------------------------------------------------------

    def _open(self) -> None:
        """Take up what the rows say, once."""
        if self._claim is not None:
            return
        tools = self._tools

        def reopen() -> tuple[Claim, dict[str, Any] | None]:
            with tools.store.database.write() as session:
                return work.reopen(session, self._job_id, self._epoch, tools.worker_id)

        fresh = self._fresh_claim
        self._claim, state = (fresh, None) if fresh is not None else self._stored(reopen)
        self._options = JobOptions.from_dict(self._claim.options)
        self._pipeline = self._options.pipeline(tools.max_duration_s)
        model = self._options.model
        self._engine = PatientEngine(
            tools.engines, tools.default_model if model == "auto" else model, self._patience,
            lane="interactive" if self._claim.priority == "high" else None,
        )  # fmt: skip
        self._set_state(self._claim.groups, state)

    def _set_state(self, groups: int, state: dict[str, Any] | None) -> None:
        """Go on behind so many groups."""
        self.close()
        self._groups = groups
        self._fresh: list[Segment] = []
        self._model: ModelFacts | None = None
        self._hearing = Hearing(self._pipeline)
        if state is not None:
            self._model = ModelFacts(**state["model"])
            self._hearing = Hearing.from_state(self._pipeline, state["hearing"])

    def _begin_again_with_another_model(self) -> None:
        """A transcript is of one model: what another one heard is dropped."""
        found = self._engine.facts.model
        known = self._model
        if known is not None and not _is_same(known, found):
            log.warning("another model", extra={"job": self._job_id, "groups": self._groups})
            self._write(lambda session: work.drop_groups(session, self._job_id, self._epoch))
            self._set_state(0, None)
        if self._model is None:
            self._model = found

    # Reading -----------------------------------------------------------------------------------

    def _read(self) -> Part:
        """The next part; its audio is taken from the budget before anybody else reads on."""
        while True:
            if self._recording is None:
                path = self._patience.until(self._local_path)
                self._recording = self._tools.readers.open(path, self._options, groups=self._groups)
            try:
                part = self._patience.until(partial(self._next, self._recording))
                self._read_ahead(part)
                return part
            except ReaderDied as death:
                self.close()
                self._note_crash(death)

    def _next(self, recording: OpenRecording) -> Part:
        ahead, self._ahead = self._ahead, None
        return recording.next(self._take_room) if ahead is None else ahead.result()

    def _read_ahead(self, part: Part) -> None:
        """One recording alone must not wait for its reader; of many, there is always another."""
        if not part.is_last and self._recording is not None and self._tools.budget.is_easy:
            self._ahead = self._tools.ahead.submit(self._recording.next, self._take_room)

    def _give_back(self, ahead: Future[Part]) -> None:
        if not ahead.cancelled() and ahead.exception() is None:
            self._tools.budget.give(ahead.result().audio_s)

    def _take_room(self, part: Part) -> None:
        self._tools.budget.take(part.audio_s)

    def _local_path(self) -> Path:
        assert self._claim is not None
        self._audio.close()
        return self._audio.enter_context(self._tools.store.blobs.local_path(self._claim.digest))

    def _note_crash(self, death: ReaderDied) -> None:
        if self._tools.stop.is_set():
            raise Stopping
        weight = _KILL_POINTS if death.is_kill else _CRASH_POINTS
        points = self._write(
            lambda session: work.note_crash(session, self._job_id, self._epoch, weight)
        )
        log.warning("reader died", extra={"job": self._job_id, "points": points})
        if points >= _MOST_POINTS:
            raise AudioCrashes("Reading the recording ended the program that read it, each time.")

    # Hearing -----------------------------------------------------------------------------------

    def _heard(self, part: Part) -> list[Segment]:
        if part.group is None:
            return []
        segments = self._hearing.hear(self._engine, part.group)
        self._tools.pace.note(part.audio_s)
        return segments

    # Storing -----------------------------------------------------------------------------------

    def _save(self, part: Part, segments: list[Segment]) -> bool:
        """True when the job was paused meanwhile."""
        self._fresh += segments
        if part.facts is not None:
            transcript = self._hearing.transcript(self._all_segments(), part.facts, self._model)
            self._write(
                lambda session: work.finish(
                    session, self._job_id, self._epoch, transcript, part.peaks
                )
            )
            return False
        assert part.group is not None
        number, clips = part.group.number, len(part.group.clips)
        assert self._model is not None
        state = {"hearing": self._hearing.state(), "model": asdict(self._model)}
        is_paused = self._write(
            lambda session: work.save_group(
                session, self._job_id, self._epoch, number=number, clips=clips,
                end_s=self._hearing.done_s, total_s=part.total_s,
                segments=_as_rows(segments), state=state,
            )
        )  # fmt: skip
        self._groups = number + 1
        self._fresh = []
        return is_paused

    def _all_segments(self) -> list[Segment]:
        """What is stored and what is fresh, in the order it was heard."""
        if self._groups == 0:
            return self._fresh

        def stored() -> list[Any]:
            with self._tools.store.database.read() as session:
                return work.group_segments(session, self._job_id)

        return [*_from_rows(self._stored(stored)), *self._fresh]

    def _release(self) -> Ending:
        """Give the job back; who cannot, because the store is away, leaves it to be taken."""
        try:
            with self._tools.store.database.write() as session:
                work.release(session, self._job_id, self._epoch)
        except ClaimLost:
            return "lost"
        except LingtingError:
            log.warning("job not released", extra={"job": self._job_id})
        return "released"

    def _fail(self, error: LingtingError) -> Ending:
        log.info("job failed", extra={"job": self._job_id, "code": error.code})
        try:
            self._write(
                lambda session: work.fail(
                    session, self._job_id, self._epoch, error.code, str(error)
                )
            )
        except (ClaimLost, Stopping):
            return "lost"
        return "failed"

    def _write(self, change: Callable[[Any], T]) -> T:
        def written() -> T:
            with self._tools.store.database.write() as session:
                return change(session)

        found = self._stored(written)
        self._tools.ring()
        return found

    def _stored(self, act: Callable[[], T]) -> T:
        return self._store_patience.until(act)

    # Waiting -----------------------------------------------------------------------------------

    def _check_stop(self) -> None:
        if self._tools.stop.is_set():
            raise Stopping

    def _check_use(self) -> None:
        """Before each new attempt: who waits for an engine hears of a pause and of the end."""
        self._check_stop()

        def is_held() -> bool:
            with self._tools.store.database.read() as session:
                return work.is_held(session, self._job_id, self._epoch)

        if not self._stored(is_held):
            raise Stopping  # paused, or no longer ours, which releasing it will tell


def _is_same(one: ModelFacts, other: ModelFacts) -> bool:
    """A server that is no host of ours does not tell its digest."""
    digests = {one.sha256, other.sha256} - {None}
    return one.id == other.id and len(digests) < 2


def _as_rows(segments: list[Segment]) -> list[Any]:
    """The versioned JSON form of a transcript's segments."""
    rows: list[Any] = Transcript(tuple(segments), 0.0).as_dict()["segments"]
    return rows


def _from_rows(rows: list[Any]) -> tuple[Segment, ...]:
    empty = Transcript((), 0.0).as_dict()
    return Transcript.from_dict({**empty, "segments": rows}).segments
