"""What webhooks are to be told, as rows written in the transactions that made it happen.

Nothing is sent here: a row is there, or what it tells did not happen. Who sends it is in
``webhooks`` and in the web process. Rows hold ids and counts; text is read when it is sent, so that
a purge is a purge.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from lingting.store.schema import DeliveryRow, JobRow, RecordingRow, UserRow, WebhookRow

JOB_EVENTS = ("job.queued", "job.started", "job.done", "job.failed", "job.cancelled", "batch.done")
RECORDING_EVENTS = (
    "recording.deleted", "recording.undone", "recording.purged", "transcript.corrected",
    "transcript.restored",
)  # fmt: skip
EVENTS = (*JOB_EVENTS, *RECORDING_EVENTS)
"""What a webhook can be told."""
TEST = "webhook.test"
_ADMINISTRATOR = "admin"
_LISTED = "lingting_webhooks"
_OF_NOTES = frozenset(RECORDING_EVENTS) - {"recording.purged"}


def new_message_id() -> str:
    return f"msg_{secrets.token_hex(12)}"


def of_events(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Events of jobs and batches, as they are inserted into ``job_events``."""
    for row in rows:
        if row["kind"] in JOB_EVENTS and _wanting(session, row["kind"], row):
            told = {"owner": row["owner"], "department": row["department"], **row["data"]}
            if row["job_id"] is not None:
                told |= {
                    "job_id": row["job_id"],
                    "recording_id": session.scalar(
                        select(JobRow.recording_id).where(JobRow.id == row["job_id"])
                    ),
                }
            if row["batch_id"] is not None:
                told["batch_id"] = row["batch_id"]
            tell(session, row["kind"], row, told)


def of_note(session: Session, action: str, recording_id: str, details: Mapping[str, Any]) -> None:
    """What the audit trail says of a recording, where a webhook can be told of it."""
    if action in _OF_NOTES and _webhooks(session):
        found = session.get(RecordingRow, recording_id)
        if found is not None:
            of_recording(session, action, found, **details)


def of_recording(session: Session, kind: str, row: RecordingRow, **data: Any) -> None:
    """Something that happened to a recording."""
    whose = {"owner": row.owner or "", "department": row.department}
    tell(session, kind, whose, {"recording_id": row.id, **whose, **data})


def tell(session: Session, kind: str, whose: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """A delivery for each webhook that wants to hear of it; ``whose`` has owner and department."""
    wanting = _wanting(session, kind, whose)
    if wanting:
        # Not those that were deleted a moment ago, and none of the others may be until we end.
        there = select(WebhookRow.id).where(WebhookRow.id.in_(wanting)).order_by(WebhookRow.id)
        wanting = list(session.scalars(there.with_for_update(read=True, key_share=True)))
    if wanting:
        message_id, now = new_message_id(), datetime.now(UTC)
        rows = [delivery_values(id, message_id, kind, now, data) for id in wanting]
        session.execute(insert(DeliveryRow), rows)


def delivery_values(
    webhook_id: str, message_id: str, kind: str, now: datetime, data: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "webhook_id": webhook_id, "message_id": message_id, "kind": kind, "at": now,
        "data": dict(data), "state": "pending", "next_at": now, "attempts": 0, "log": [],
    }  # fmt: skip


def _wanting(session: Session, kind: str, whose: Mapping[str, Any]) -> list[str]:
    return [
        row.id
        for row in _webhooks(session)
        if kind in row.events and _reaches(row, whose["owner"], whose["department"])
    ]


def _reaches(row: WebhookRow, owner: str, department: str | None) -> bool:
    if row.reach == "own":
        return bool(owner) and owner == row.owner
    return row.reach == "all" or (department is not None and department == row.department)


def _webhooks(session: Session) -> list[WebhookRow]:
    """Those that work, read once in a transaction.

    They hear what whoever made them may still see: nothing when disabled, nothing of a department
    or of everybody without the role for it.
    """
    if _LISTED not in session.info:
        found = session.execute(
            select(WebhookRow, UserRow)
            .outerjoin(UserRow, UserRow.name == WebhookRow.owner)
            .where(WebhookRow.disabled_at.is_(None), UserRow.disabled_at.is_(None))
            .order_by(WebhookRow.id)
        )
        session.info[_LISTED] = [row for row, user in found if _may_hear(row, user)]
    listed: list[WebhookRow] = session.info[_LISTED]
    return listed


def _may_hear(row: WebhookRow, user: UserRow | None) -> bool:
    if row.reach == "own":
        return True
    if user is None or user.role == "admin":
        return user is not None or row.owner == _ADMINISTRATOR
    is_theirs = user.role == "manager" and user.department == row.department
    return row.reach == "department" and is_theirs
