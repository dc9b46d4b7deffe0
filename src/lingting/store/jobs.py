"""Jobs as rows: how they are asked for, what is shown of them. Each function runs in one session.

::

    queued ──► running ──► done
      ▲ │        │ │ └───► failed ──┐
      │ └► paused◄┘ └────► cancelled│ retry
      └───────┴─────────────────────┘

What a worker does to them is in ``work``. Every change tells what it did in the same transaction
(``events``), so that a listener never hears of what did not happen, nor misses what did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.orm import Session

from lingting import log, tracing
from lingting.errors import BatchNotFound, JobFinished, JobNotFound, RequestConflict
from lingting.store import changes, events, shares
from lingting.store.database import lock
from lingting.store.queries import behind, seen_by
from lingting.store.records import (
    ACTIVE,
    FINISHED,
    PRIORITIES,
    Batch,
    Job,
    JobState,
    Priority,
    Sight,
)
from lingting.store.rows import storable
from lingting.store.schema import BatchRow, JobRequestRow, JobRow, RecordingRow, WorkerRow
from lingting.transcript import Failure

# Asking ----------------------------------------------------------------------------------------


def add_job(
    session: Session,
    recording_id: str,
    *,
    options: Mapping[str, Any],
    owner: str | None,
    batch_id: str | None,
    priority: Priority,
) -> str:
    """A queued job, or a paused one in a paused batch; its id. Raises RecordingNotFound."""
    changes.locked_transcript(session, recording_id)  # a purge comes before or behind it
    batch = None if batch_id is None else _batch_row(session, batch_id, is_kept=True)
    recording = session.get_one(RecordingRow, recording_id)
    older = update(JobRow).where(JobRow.recording_id == recording_id, JobRow.is_newest)
    session.execute(older.values(is_newest=False))
    row = JobRow(
        id=changes.new_id(),
        recording_id=recording_id,
        batch_id=batch_id,
        owner=owner or "",
        department=recording.department,
        state="paused" if batch is not None and batch.is_paused else "queued",
        priority=PRIORITIES.index(priority),
        options=dict(options),
        created_at=changes.now(),
        done_s=0.0,
        total_s=recording.duration_s,
        attempts=0,
        crashes=0,
        epoch=0,
        request_id=log.request_id(),
        traceparent=tracing.parent_now(),
        is_newest=True,
        recorded_at=recording.created_at,
    )
    shares.welcome(session, row.owner)
    session.add(row)
    session.flush()
    events.of_job(session, row, f"job.{row.state}")
    return row.id


def add_batch(
    session: Session,
    name: str,
    *,
    owner: str | None,
    department: str | None = None,
    priority: Priority,
) -> str:
    row = BatchRow(
        id=changes.new_id(),
        name=storable(name),
        owner=owner or "",
        department=department,
        priority=PRIORITIES.index(priority),
        created_at=changes.now(),
        is_paused=False,
    )
    session.add(row)
    session.flush()
    return row.id


def requested(
    session: Session, *, owner: str | None, key: str, kind: str, digest: str
) -> str | None:
    """The id that was made for this key before. Raises RequestConflict for another request."""
    row = session.get(JobRequestRow, (owner or "", key))
    if row is None:
        return None
    if (row.kind, row.digest) != (kind, digest):
        raise RequestConflict("This idempotency key was used for another request.")
    return row.subject_id


def is_requested(session: Session, *, owner: str | None, key: str) -> bool:
    return session.get(JobRequestRow, (owner or "", key)) is not None


def made_for(session: Session, *, owner: str | None, key: str) -> str | None:
    """The job that was made for this key, whatever was asked for exactly."""
    row = session.get(JobRequestRow, (owner or "", key))
    return row.subject_id if row is not None and row.kind == "job" else None


def counts(session: Session, *, sight: Sight | None) -> dict[JobState, int]:
    """How many jobs are in each state but done, of which there may be very many."""
    query = select(JobRow.state, func.count()).where(JobRow.state != "done", seen_by(sight, JobRow))
    found = session.execute(query.group_by(JobRow.state))
    return {cast(JobState, state): count for state, count in found}


def note_request(
    session: Session, *, owner: str | None, key: str, kind: str, digest: str, subject_id: str
) -> None:
    session.add(
        JobRequestRow(
            owner=owner or "", key=key, kind=kind, digest=digest, subject_id=subject_id,
            created_at=changes.now(),
        )
    )  # fmt: skip
    session.flush()


def lock_request(session: Session, owner: str | None, key: str) -> None:
    """Two requests of the same key take turns."""
    lock(session, f"request:{owner or ''}:{key}")


# Changing --------------------------------------------------------------------------------------


def pause(session: Session, rows: Iterable[JobRow]) -> None:
    """Queued ones at once; a running one keeps its worker until that has stored its group."""
    for row in rows:
        if row.state in ("queued", "running"):
            row.state = "paused"
            events.of_job(session, row, "job.paused")


def resume(session: Session, rows: Iterable[JobRow]) -> None:
    for row in rows:
        if row.state == "paused":
            # Its worker has not noticed the pause yet and simply goes on.
            row.state = "queued" if row.worker_id is None else "running"
            events.of_job(session, row, "job.resumed")


def cancel(session: Session, rows: Iterable[JobRow]) -> None:
    """What a running one's worker still writes is refused."""
    ended = []
    for row in rows:
        if row.state in ACTIVE:
            row.state, row.worker_id, row.finished_at = "cancelled", None, changes.now()
            row.epoch += 1
            ended.append(row)
            events.of_job(session, row, "job.cancelled")
    session.flush()
    events.of_ended_batches(session, ended)


def retry(session: Session, rows: Iterable[JobRow]) -> None:
    """Failed and cancelled ones go on behind the last group that was stored."""
    for row in rows:
        if row.state in ("failed", "cancelled"):
            row.state, row.error, row.finished_at, row.crashes = "queued", None, None, 0
            row.epoch += 1
            events.of_job(session, row, "job.queued")


def job_row(session: Session, job_id: str, *, allowed: Sequence[str] | None = None) -> JobRow:
    """Locked until the transaction ends. JobFinished when it is in no ``allowed`` state."""
    row = session.scalars(select(JobRow).where(JobRow.id == job_id).with_for_update()).one_or_none()
    if row is None:
        raise JobNotFound("There is no job with this id.")
    if allowed is not None and row.state not in allowed:
        raise JobFinished(f"The job is {row.state}; this is possible for {_named(allowed)}.")
    return row


def batch_job_rows(session: Session, batch_id: str, states: Sequence[str]) -> list[JobRow]:
    """Jobs of a batch in these states, locked, in one order for everybody."""
    _batch_row(session, batch_id)
    query = select(JobRow).where(JobRow.batch_id == batch_id, JobRow.state.in_(states))
    return list(session.scalars(query.order_by(JobRow.id).with_for_update()))


def set_batch_paused(session: Session, batch_id: str, is_paused: bool) -> None:
    """Whether jobs that come later wait as well."""
    _batch_row(session, batch_id).is_paused = is_paused


def _batch_row(session: Session, batch_id: str, *, is_kept: bool = False) -> BatchRow:
    """``is_kept``: nobody changes it until the transaction ends. Raises BatchNotFound."""
    row = session.get(BatchRow, batch_id, with_for_update={"read": True} if is_kept else None)
    if row is None:
        raise BatchNotFound("There is no batch with this id.")
    return row


def _named(states: Sequence[str]) -> str:
    return f"{', '.join(states[:-1])} and {states[-1]} ones" if len(states) > 1 else states[0]


# Showing ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pace:
    """How fast the service is, to tell when something will be done."""

    speed: float | None
    running: int

    def job_s(self, left_s: float) -> float | None:
        return None if self.speed is None else left_s * max(self.running, 1) / self.speed

    def batch_s(self, left_s: float) -> float | None:
        return None if self.speed is None else left_s / self.speed


def _pace(session: Session) -> _Pace:
    speed = session.scalar(select(func.sum(WorkerRow.speed)).where(WorkerRow.is_live))
    running = session.scalar(select(func.count()).where(JobRow.state == "running"))
    return _Pace(speed if speed and speed > 0 else None, running or 0)


def job(session: Session, job_id: str) -> Job:
    """Raises JobNotFound."""
    rows = session.execute(_named_jobs().where(JobRow.id == job_id)).all()
    if not rows:
        raise JobNotFound("There is no job with this id.")
    return _shown(rows[0], _pace(session))


def jobs(
    session: Session,
    *,
    sight: Sight | None,
    batch_id: str | None,
    recording_id: str | None,
    state: JobState | None,
    limit: int,
    after: str | None,
) -> list[Job]:
    """The newest first, behind the job ``after``."""
    query = _named_jobs().where(seen_by(sight, JobRow))
    if batch_id is not None:
        query = query.where(JobRow.batch_id == _batch_row(session, batch_id).id)
    if recording_id is not None:
        query = query.where(JobRow.recording_id == recording_id)
    if state is not None:
        query = query.where(JobRow.state == state)
    if after is not None:
        last = session.get(JobRow, after)
        if last is None:
            raise JobNotFound("There is no job with this id.")
        query = query.where(behind(last, JobRow.created_at, JobRow.id))
    query = query.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit)
    pace = _pace(session)
    return [_shown(row, pace) for row in session.execute(query).all()]


def batch(session: Session, batch_id: str) -> Batch:
    """Raises BatchNotFound."""
    return _batches(session, [_batch_row(session, batch_id)])[0]


def batch_owner(session: Session, batch_id: str) -> tuple[str | None, str | None]:
    """Owner and department. Raises BatchNotFound."""
    row = _batch_row(session, batch_id)
    return row.owner or None, row.department


def batches(session: Session, *, sight: Sight | None, limit: int, after: str | None) -> list[Batch]:
    """The newest first, behind the batch ``after``."""
    query = select(BatchRow).where(seen_by(sight, BatchRow))
    if after is not None:
        last = _batch_row(session, after)
        query = query.where(behind(last, BatchRow.created_at, BatchRow.id))
    query = query.order_by(BatchRow.created_at.desc(), BatchRow.id.desc()).limit(limit)
    return _batches(session, list(session.scalars(query)))


def _named_jobs() -> Select[JobRow, str]:
    return select(JobRow, RecordingRow.name).join(
        RecordingRow, RecordingRow.id == JobRow.recording_id
    )


def _shown(found: Row[JobRow, str], pace: _Pace) -> Job:
    row, name = found
    left_s = None if row.total_s is None else max(row.total_s - row.done_s, 0.0)
    return Job(
        id=row.id,
        recording_id=row.recording_id,
        batch_id=row.batch_id,
        owner=row.owner or None,
        department=row.department,
        name=name,
        state=cast(JobState, row.state),
        priority=PRIORITIES[row.priority],
        options=row.options,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        done_s=row.done_s,
        total_s=row.total_s,
        attempts=row.attempts,
        error=None if row.error is None else Failure(**row.error),
        revision=row.revision,
        eta_s=pace.job_s(left_s) if row.state == "running" and left_s is not None else None,
    )


def _batches(session: Session, rows: list[BatchRow]) -> list[Batch]:
    query = (
        select(
            JobRow.batch_id, JobRow.state, func.count(), func.sum(JobRow.done_s),
            func.sum(JobRow.total_s), func.count(JobRow.total_s),
        )
        .where(JobRow.batch_id.in_([row.id for row in rows]))
        .group_by(JobRow.batch_id, JobRow.state)
    )  # fmt: skip
    sums: dict[str | None, list[_Sum]] = {}
    for batch_id, state, *values in session.execute(query):
        sums.setdefault(batch_id, []).append(_Sum(cast(JobState, state), *cast(Any, values)))
    pace = _pace(session)
    return [_shown_batch(row, sums.get(row.id, []), pace) for row in rows]


@dataclass(frozen=True, slots=True)
class _Sum:
    """Jobs of one batch in one state."""

    state: JobState
    count: int
    done_s: float
    known_total_s: float | None
    known: int


def _shown_batch(row: BatchRow, sums: list[_Sum], pace: _Pace) -> Batch:
    counts = {one.state: one.count for one in sums}
    count, known = sum(counts.values()), sum(one.known for one in sums)
    known_s = sum(one.known_total_s or 0.0 for one in sums)
    total_s = known_s / known * count if known else None
    open_sums = [one for one in sums if one.state not in FINISHED]
    left_s = (
        sum(
            (one.known_total_s or 0.0) + (one.count - one.known) * known_s / known - one.done_s
            for one in open_sums
        )
        if known
        else None
    )
    state = _batch_state(counts, row.is_paused)
    return Batch(
        id=row.id,
        name=row.name,
        owner=row.owner or None,
        department=row.department,
        priority=PRIORITIES[row.priority],
        created_at=row.created_at,
        state=state,
        counts=counts,
        done_s=sum(one.done_s for one in sums),
        total_s=total_s,
        eta_s=pace.batch_s(max(left_s, 0.0)) if left_s is not None and state == "running" else None,
    )


def _batch_state(counts: Mapping[JobState, int], is_paused: bool) -> JobState:
    if counts.get("running"):
        return "running"
    if counts.get("queued") or not counts:
        begun = any(counts.get(state) for state in FINISHED)
        return "paused" if is_paused and not counts else "running" if begun else "queued"
    if counts.get("paused"):
        return "paused"
    if counts.get("done"):
        return "done"
    return "failed" if counts.get("failed") else "cancelled"


def waiting(session: Session) -> bool:
    """Whether a job waits for a worker."""
    query = select(JobRow.id).where(JobRow.state == "queued").limit(1)
    return session.scalar(query) is not None
