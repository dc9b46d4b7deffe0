"""Requests that are made again: the same one lately gets the job it got before.

Unlike an idempotency key, which stands for its request for ever, this forgets: what was done long
ago, deleted or purged is done anew, and what failed or was cancelled goes on behind the last group
that was stored. Each function runs in one session.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from lingting.errors import RequestConflict
from lingting.store import changes, jobs
from lingting.store.rows import storable_segment
from lingting.store.schema import JobGroupRow, JobRequestRow, JobRow, RecordingRow, TagRow
from lingting.transcript import Segment, Transcript

PASSING = "not kept"
"""Tag of a recording that goes when its request has been answered, or some time after."""
_KIND = "repeat"


def joined(
    session: Session, *, owner: str | None, key: str, digest: str, within: timedelta | None
) -> str | None:
    """The job of an earlier request, on its way again if it had ended without a text.

    ``within``: only if it ended no longer ago; None is for ever. Raises RequestConflict when the
    key was for another ``digest``.
    """
    jobs.lock_request(session, owner, key)
    row = session.get(JobRequestRow, (owner or "", key))
    if row is None:
        return None
    if (row.kind, row.digest) != (_KIND, digest):
        raise RequestConflict("This idempotency key was used for another request.")
    query = select(JobRow).where(JobRow.id == row.subject_id).with_for_update()
    job = session.scalars(query).one_or_none()
    if job is None or session.get_one(RecordingRow, job.recording_id).deleted_at is not None:
        return None
    ended = job.finished_at
    if ended is not None and within is not None and changes.now() - ended > within:
        return None
    jobs.retry(session, [job])
    return job.id


def note(session: Session, *, owner: str | None, key: str, digest: str, job_id: str) -> None:
    """Who asks for the same from now on gets this job."""
    row = session.get(JobRequestRow, (owner or "", key))
    if row is not None:
        session.delete(row)
        session.flush()
    jobs.note_request(session, owner=owner, key=key, kind=_KIND, digest=digest, subject_id=job_id)


def mark_passing(session: Session, recording_id: str) -> None:
    """It is to go when its request has been answered."""
    session.add(TagRow(recording_id=recording_id, tag=PASSING, created_at=changes.now()))


def passing(session: Session, older: timedelta) -> list[str]:
    """Those that are marked so, and without a job that goes on or ended lately."""
    is_alive = or_(JobRow.finished_at.is_(None), JobRow.finished_at > changes.now() - older)
    busy = select(JobRow.id).where(JobRow.recording_id == TagRow.recording_id, is_alive)
    return list(
        session.scalars(select(TagRow.recording_id).where(TagRow.tag == PASSING, ~busy.exists()))
    )


def heard(session: Session, job_id: str, behind: int) -> tuple[list[Segment], int]:
    """What a running job has stored behind so many groups, and how many there are then.

    They are gone when it is done: then its revision has the whole.
    """
    query = select(JobGroupRow.segments).where(
        JobGroupRow.job_id == job_id, JobGroupRow.number >= behind
    )
    groups = session.scalars(query.order_by(JobGroupRow.number)).all()
    rows = [one for group in groups for one in group]
    empty = Transcript((), 0.0).as_dict()
    found = Transcript.from_dict({**empty, "segments": rows}).segments
    return [storable_segment(one) for one in found], behind + len(groups)
