"""What happened to jobs, as rows that are written in the transactions that made it happen.

A listener asks for what is behind the last id it knows. So an id may never appear behind a larger
one: on Postgres, where several transactions write at once, those that tell something end one after
another (a lock that is taken last and held for the insert only).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from lingting.store import changes, outbox
from lingting.store.database import LastAct, affected, at_the_end, lock
from lingting.store.queries import seen_by
from lingting.store.records import ACTIVE, Event, Sight
from lingting.store.schema import BatchRow, JobEventRow, JobRow

_PENDING = "lingting_events"
_BATCHES = "lingting_batches"


def of_job(session: Session, row: JobRow, kind: str, **data: Any) -> None:
    """Tell it when the transaction ends."""
    at_the_end(session, LastAct.EVENTS, _write_pending)
    session.info.setdefault(_PENDING, []).append(
        {
            "at": changes.now(), "kind": kind, "job_id": row.id, "batch_id": row.batch_id,
            "owner": row.owner, "department": row.department, "data": data,
        }
    )  # fmt: skip


def of_ended_batches(session: Session, rows: Iterable[JobRow]) -> None:
    """Remember to tell ``batch.done`` for those of their batches that have nothing left to do."""
    batches = session.info.setdefault(_BATCHES, set())
    batches.update({row.batch_id for row in rows if row.batch_id is not None})


def _write_pending(session: Session) -> None:
    lock(session, "job_events")
    pending: list[dict[str, Any]] = session.info.pop(_PENDING)
    for batch_id in sorted(session.info.pop(_BATCHES, ())):
        left = select(JobRow.id).where(JobRow.batch_id == batch_id, JobRow.state.in_(ACTIVE))
        if session.scalar(left.limit(1)) is None:
            batch = session.get_one(BatchRow, batch_id)
            pending.append(
                {
                    "at": changes.now(), "kind": "batch.done", "job_id": None,
                    "batch_id": batch_id, "owner": batch.owner, "department": batch.department,
                    "data": {},
                }
            )  # fmt: skip
    session.execute(insert(JobEventRow), pending)
    outbox.of_events(session, pending)


def after(
    session: Session,
    last: int,
    *,
    sight: Sight | None,
    job_id: str | None,
    batch_id: str | None,
    limit: int,
) -> list[Event]:
    """What happened behind the event ``last``, in order."""
    query = select(JobEventRow).where(JobEventRow.id > last, seen_by(sight, JobEventRow))
    if job_id is not None:
        query = query.where(JobEventRow.job_id == job_id)
    if batch_id is not None:
        query = query.where(JobEventRow.batch_id == batch_id)
    return [
        Event(
            row.id, row.at, row.kind, row.job_id, row.batch_id, row.owner or None,
            row.department, row.data,
        )
        for row in session.scalars(query.order_by(JobEventRow.id).limit(limit))
    ]  # fmt: skip


def last_id(session: Session) -> int:
    """Of the newest event; 0 before the first."""
    return session.scalar(select(func.max(JobEventRow.id))) or 0


def forget(session: Session, before: datetime) -> int:
    """Remove what is older; the newest stays, so that ``last_id`` never goes back."""
    newest = last_id(session)
    found = session.execute(
        delete(JobEventRow).where(JobEventRow.at < before, JobEventRow.id < newest)
    )
    return affected(found)
