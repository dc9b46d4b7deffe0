"""What workers do with jobs: take them up, store what they heard, take over from the dead.

A claim ends when its epoch does. Every write names the epoch it was claimed with, and is refused
(``ClaimLost``) when the job has a newer one: it was cancelled, or given to another worker, because
this one was silent for too long. So a worker that comes back late changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session

from lingting.store import changes, events, limits, shares
from lingting.store.database import lock
from lingting.store.records import PRIORITIES, Claim, WorkerState
from lingting.store.schema import (
    BlobRow,
    JobGroupRow,
    JobRequestRow,
    JobRow,
    JobShareRow,
    RecordingRow,
    TranscriptRow,
    WorkerRow,
)
from lingting.transcript import Transcript

_LEAST_GUESS_S = 5.0
_MOST_GUESS_S = 3600.0
_FORGET_WORKERS = timedelta(days=7)


class ClaimLost(Exception):
    """The job is no longer this worker's; nothing was written."""


def claim(session: Session, worker_id: str, count: int) -> list[Claim]:
    """Take up at most ``count`` queued jobs: the highest class first, owners in turn, the oldest
    of each first."""
    lock(session, "job_claims")
    found: list[Claim] = []
    for priority in range(len(PRIORITIES)):
        queue = _Queue(session, priority)
        while len(found) < count and (next_one := queue.take()) is not None:
            found.append(_take_up(session, *next_one, worker_id))
    return found


class _Queue:
    """Queued jobs of one class, owner by owner."""

    def __init__(self, session: Session, priority: int) -> None:
        self._session = session
        self._priority = priority
        self._owners = set(shares.owners(session, "queued", priority))
        rows = session.scalars(select(JobShareRow).where(JobShareRow.owner.in_(self._owners)))
        self._shares = {row.owner: row for row in rows}
        counted = (
            session.execute(
                select(JobRow.owner, func.count())
                .where(JobRow.state == "running")
                .group_by(JobRow.owner)
            ).all()
            if len(self._owners) > 1
            else []
        )
        self._running: dict[str, int] = {one[0]: one[1] for one in counted}

    def take(self) -> tuple[JobRow, str] | None:
        """The next job, locked, and its audio's digest; its owner's share grows by it."""
        while self._owners:
            owner = min(self._owners, key=self._turn)
            found = self._session.execute(
                select(JobRow, BlobRow.digest, BlobRow.size_bytes)
                .join(RecordingRow, RecordingRow.id == JobRow.recording_id)
                .join(BlobRow, BlobRow.digest == RecordingRow.digest)
                .where(
                    JobRow.state == "queued",
                    JobRow.priority == self._priority,
                    JobRow.owner == owner,
                )
                .order_by(JobRow.created_at, JobRow.id)
                .limit(1)
                # What others change just now is for later: to wait for it with a job in hand is
                # how two come to wait for each other, as for a batch that is being cancelled.
                .with_for_update(of=JobRow, skip_locked=True)
            ).one_or_none()
            if found is not None:
                row, digest, size_bytes = found
                self._running[owner] = self._running.get(owner, 0) + 1
                self._share(owner).taken_s += _guess_s(row, size_bytes)
                return row, digest
            self._owners.discard(owner)
        return None

    def _turn(self, owner: str) -> tuple[float, int, str]:
        share = self._shares.get(owner)
        return (share.taken_s if share else 0.0, self._running.get(owner, 0), owner)

    def _share(self, owner: str) -> JobShareRow:
        if owner not in self._shares:
            self._shares[owner] = JobShareRow(owner=owner, taken_s=0.0)
            self._session.add(self._shares[owner])
        return self._shares[owner]


def _guess_s(row: JobRow, size_bytes: int) -> float:
    """The recording's length, or what the size of its file suggests."""
    if row.total_s is not None:
        return max(row.total_s - row.done_s, 1.0)
    return min(max(size_bytes / limits.GUESSED_BYTES_PER_S, _LEAST_GUESS_S), _MOST_GUESS_S)


def _take_up(session: Session, row: JobRow, digest: str, worker_id: str) -> Claim:
    is_first = row.attempts == 0
    row.state, row.worker_id = "running", worker_id
    row.epoch += 1
    row.attempts += 1
    row.started_at = row.started_at or changes.now()
    events.of_job(session, row, "job.started", attempt=row.attempts)
    session.flush()
    groups = 0 if is_first else _count_groups(session, row.id)
    return _claim(row, digest, groups)


def _claim(row: JobRow, digest: str, groups: int) -> Claim:
    return Claim(
        row.id, row.epoch, row.recording_id, digest, row.options, groups,
        PRIORITIES[row.priority], row.request_id, row.traceparent,
    )  # fmt: skip


def _count_groups(session: Session, job_id: str) -> int:
    return session.scalar(select(func.count()).where(JobGroupRow.job_id == job_id)) or 0


def held(session: Session, job_id: str, epoch: int, *, is_locked: bool = False) -> JobRow:
    """The job of a claim that holds; paused ones are held until their worker lets go."""
    query = select(JobRow).where(JobRow.id == job_id)
    row = session.scalars(query.with_for_update() if is_locked else query).one_or_none()
    if row is None or row.epoch != epoch or row.state not in ("running", "paused"):
        raise ClaimLost
    return row


def reopen(
    session: Session, job_id: str, epoch: int, worker_id: str
) -> tuple[Claim, dict[str, Any] | None]:
    """The claim, from now on of this worker, and the state that was stored with its last group."""
    row = held(session, job_id, epoch, is_locked=True)
    row.worker_id = worker_id
    digest = session.get_one(RecordingRow, row.recording_id).digest
    groups = _count_groups(session, job_id)
    found = _claim(row, digest, groups)
    state = session.scalar(
        select(JobGroupRow.state)
        .where(JobGroupRow.job_id == job_id)
        .order_by(JobGroupRow.number.desc())
        .limit(1)
    )
    return found, state


def group_segments(session: Session, job_id: str) -> list[Any]:
    """What was heard so far, in the order of the groups, in JSON form."""
    query = select(JobGroupRow.segments).where(JobGroupRow.job_id == job_id)
    parts = session.scalars(query.order_by(JobGroupRow.number)).all()
    return [one for part in parts for one in part]


def save_group(
    session: Session,
    job_id: str,
    epoch: int,
    *,
    number: int,
    clips: int,
    end_s: float,
    total_s: float | None,
    segments: list[Any],
    state: dict[str, Any],
) -> bool:
    """Store a group, once; True when the job was paused meanwhile. Raises ClaimLost."""
    row = held(session, job_id, epoch, is_locked=True)
    if session.get(JobGroupRow, (job_id, number)) is not None:
        return row.state == "paused"  # it was stored, and only the answer was lost
    session.add(
        JobGroupRow(
            job_id=job_id, number=number, epoch=epoch, clips=clips, end_s=end_s,
            segments=segments, state=state, written_at=changes.now(),
        )
    )  # fmt: skip
    row.done_s, row.total_s = max(row.done_s, end_s), total_s
    events.of_job(session, row, "job.progress", done_s=row.done_s, total_s=row.total_s)
    return row.state == "paused"


def drop_groups(session: Session, job_id: str, epoch: int) -> None:
    """Begin again: what was heard was heard by another model."""
    row = held(session, job_id, epoch, is_locked=True)
    session.execute(delete(JobGroupRow).where(JobGroupRow.job_id == job_id))
    row.done_s = 0.0


def finish(
    session: Session, job_id: str, epoch: int, transcript: Transcript, peaks: bytes | None
) -> int:
    """Store the transcript and end the job, in one; the number of the revision.

    Raises ClaimLost.
    """
    transcript = changes.storable_transcript(transcript)
    # Before the job, as a purge does; where it was purged, nothing is held.
    recording = (
        select(TranscriptRow.id)
        .join(JobRow, JobRow.recording_id == TranscriptRow.recording_id)
        .where(JobRow.id == job_id)
    )
    session.execute(recording.with_for_update(of=TranscriptRow))
    row = held(session, job_id, epoch, is_locked=True)
    revision, _ = changes.add_machine_revision(session, row.recording_id, transcript)
    if peaks is not None:
        digest = session.get_one(RecordingRow, row.recording_id).digest
        changes.note_peaks(session, digest, peaks)
    session.execute(delete(JobGroupRow).where(JobGroupRow.job_id == job_id))
    row.state, row.worker_id, row.finished_at = "done", None, changes.now()
    row.revision, row.error = revision, None
    row.done_s = row.total_s = transcript.duration_s
    limits.note_audio(session, row.owner, transcript.duration_s)
    events.of_job(session, row, "job.done", revision=revision, duration_s=transcript.duration_s)
    events.of_ended_batches(session, [row])
    return revision


def fail(session: Session, job_id: str, epoch: int, code: str, message: str) -> None:
    """End the job with an error; audio and what was heard stay. Raises ClaimLost."""
    row = held(session, job_id, epoch, is_locked=True)
    row.state, row.worker_id, row.finished_at = "failed", None, changes.now()
    row.error = {"code": code, "message": message}
    events.of_job(session, row, "job.failed", code=code)
    events.of_ended_batches(session, [row])


def note_crash(session: Session, job_id: str, epoch: int, weight: int) -> int:
    """This recording has ended a reading process; the sum of weights. Raises ClaimLost."""
    row = held(session, job_id, epoch, is_locked=True)
    row.crashes += weight
    return row.crashes


def release(session: Session, job_id: str, epoch: int) -> None:
    """Give a job back unfinished: a worker that stops, or one that noticed a pause."""
    row = held(session, job_id, epoch, is_locked=True)
    _give_back(row)


def is_held(session: Session, job_id: str, epoch: int) -> bool:
    """Whether there is any use in going on."""
    state = session.scalar(select(JobRow.state).where(JobRow.id == job_id, JobRow.epoch == epoch))
    return state == "running"


def _give_back(row: JobRow) -> None:
    if row.state == "running":
        row.state = "queued"
    row.worker_id = None
    row.epoch += 1


# Workers ---------------------------------------------------------------------------------------


def beat(
    session: Session, worker_id: str, *, pid: int, jobs: int, speed: float | None, late_writes: int
) -> bool:
    """A sign of life; False when others had given it up and taken its jobs."""
    row = session.get(WorkerRow, worker_id, with_for_update=True)
    now = changes.now()
    if row is None or row.pid != pid:
        if row is not None:
            session.delete(row)
            session.flush()
        session.add(
            WorkerRow(
                id=worker_id, pid=pid, started_at=now, seen_at=now, beats=1, is_live=True,
                jobs=jobs, speed=speed, late_writes=late_writes,
            )
        )  # fmt: skip
        return True
    was_live, row.is_live = row.is_live, True
    row.seen_at, row.jobs, row.speed, row.late_writes = now, jobs, speed, late_writes
    row.beats += 1
    return was_live


def workers(session: Session) -> list[WorkerState]:
    rows = session.scalars(select(WorkerRow).order_by(WorkerRow.seen_at.desc()))
    return [
        WorkerState(
            row.id, row.pid, row.started_at, row.seen_at, row.beats, row.is_live, row.jobs,
            row.speed, row.late_writes,
        )
        for row in rows
    ]  # fmt: skip


def leave(session: Session, worker_id: str) -> None:
    """A worker stops; whatever it still has is anybody's."""
    session.execute(
        update(WorkerRow).where(WorkerRow.id == worker_id).values(is_live=False, jobs=0, speed=None)
    )
    take_back(session, worker_id)


def bury(session: Session, worker_id: str, beats: int) -> int:
    """Give the jobs of a silent worker to the others; how many. None of them if it has beaten."""
    row = session.get(WorkerRow, worker_id, with_for_update=True)
    if row is None or row.beats != beats or not row.is_live:
        return 0
    row.is_live, row.jobs, row.speed = False, 0, None
    return take_back(session, worker_id)


def take_back(session: Session, worker_id: str, working: Iterable[str] = ()) -> int:
    """Jobs that are this worker's by their rows, and that nothing in it works on; how many."""
    kept = set(working)
    query = select(JobRow).where(_of_worker(worker_id)).order_by(JobRow.id).with_for_update()
    lost = [row for row in session.scalars(query) if row.id not in kept]
    for row in lost:
        _give_back(row)
    return len(lost)


def jobs_of(session: Session, worker_id: str) -> list[str]:
    """Jobs that are this worker's by their rows."""
    return list(session.scalars(select(JobRow.id).where(_of_worker(worker_id))))


def strays(session: Session, live: Iterable[str]) -> list[str]:
    """Workers that have jobs and no row of their own that is alive."""
    query = select(JobRow.worker_id).where(
        JobRow.state.in_(("running", "paused")),
        JobRow.worker_id.is_not(None),
        JobRow.worker_id.not_in(list(live)),
    )
    return [one for one in session.scalars(query.distinct()) if one is not None]


def _of_worker(worker_id: str) -> ColumnElement[bool]:
    return and_(JobRow.state.in_(("running", "paused")), JobRow.worker_id == worker_id)


# Care ------------------------------------------------------------------------------------------


def forget_old(
    session: Session, *, events_age: timedelta, requests_age: timedelta, kept_keys: str
) -> None:
    """Remove what is of no use any more, so that nothing grows for ever.

    Requests whose keys begin with ``kept_keys`` stay.
    """
    now = changes.now()
    events.forget(session, now - events_age)
    session.execute(
        delete(JobRequestRow).where(
            JobRequestRow.created_at < now - requests_age, ~JobRequestRow.key.startswith(kept_keys)
        )
    )
    session.execute(
        delete(WorkerRow).where(~WorkerRow.is_live, WorkerRow.seen_at < now - _FORGET_WORKERS)
    )
