"""Shares: who else may read a recording, and never change it.

A share names a user, a department, or everyone. It reaches whoever that is at the moment of
reading: who leaves a department does not read what is shared with it any more. It ends when it is
taken back, by its own date, and with a purge; while the recording is deleted nobody reads it by a
share, and an undo brings it back as it was.

What is shared with somebody is never mixed into what they see otherwise (``queries.seen_by``): a
colleague's share with everyone would fill everybody's history, and each page would ask one more
index.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from lingting.errors import DepartmentNotFound, OptionInvalid, ShareNotFound, UserNotFound
from lingting.store import audit, changes, people, queries
from lingting.store.database import Database
from lingting.store.records import Actor, Share, SharedWith, ShareKind
from lingting.store.rows import storable
from lingting.store.schema import RecordingRow, RecordingShareRow

MAX_SHARES = 200
"""Of one recording."""
MAX_DAYS = 3_650


class Shares:
    """The shares of a store. May be used by many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(self, recording_id: str) -> list[Share]:
        """Those in force, the newest first. Raises RecordingNotFound."""
        row = RecordingShareRow
        with self._database.read() as session:
            whole = queries.whole_id(session, recording_id)
            ours = select(row).where(row.recording_id == whole, queries.is_in_force())
            found = session.scalars(ours.order_by(row.created_at.desc(), row.id))
            return [_share(one) for one in found]

    def is_open_to(self, recording_id: str, who: SharedWith) -> bool:
        """Whether a share in force lets them read it; never while it is deleted."""
        row = RecordingShareRow
        with self._database.read() as session:
            found = session.scalar(
                select(row.id)
                .join(RecordingRow, RecordingRow.id == row.recording_id)
                .where(
                    row.recording_id == recording_id,
                    RecordingRow.deleted_at.is_(None),
                    queries.is_in_force(),
                    or_(*queries.named_by(who)),
                )
                .limit(1)
            )
            return found is not None

    def add(
        self,
        recording_id: str,
        to_kind: ShareKind,
        to_name: str | None = None,
        *,
        days: int | None = None,
        made_by: str | None = None,
        actor: Actor | None = None,
    ) -> Share:
        """Let somebody read it, for ``days`` or until it is taken back.

        Whoever has a share already keeps it, with the new end. Raises UserNotFound,
        DepartmentNotFound, OptionInvalid, RecordingNotFound. Here and below, ``actor`` is who does
        it, for the audit trail; None: whoever runs this program.
        """
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise OptionInvalid(f"A share lasts 1 to {MAX_DAYS} days.", "Leave the days out.")
        name = "" if to_name is None else storable(to_name)
        if (to_kind == "everyone") != (name == ""):
            raise OptionInvalid("A share is for a user, for a department, or for everyone.")
        with self._database.write() as session:
            recording = changes.locked_recording(session, recording_id)
            _check_addressee(session, to_kind, name)
            now = changes.now()
            until = None if days is None else now + timedelta(days=days)
            _forget_ended(session, recording.id)
            row = session.scalars(
                select(RecordingShareRow).where(
                    RecordingShareRow.recording_id == recording.id,
                    RecordingShareRow.to_kind == to_kind,
                    RecordingShareRow.to_name == name,
                )
            ).one_or_none()
            if row is None:
                _check_room(session, recording.id)
                row = RecordingShareRow(
                    id=changes.new_id(), recording_id=recording.id, to_kind=to_kind, to_name=name,
                    made_by=None if made_by is None else storable(made_by), created_at=now,
                    recorded_at=recording.created_at,
                )  # fmt: skip
                session.add(row)
            row.expires_at = until
            session.flush()
            _tell(session, actor, "share.made", row, days=days or 0)
            return _share(row)

    def end(self, recording_id: str, share_id: str, *, actor: Actor | None = None) -> Share:
        """Take it back; it is returned once more. Raises RecordingNotFound, ShareNotFound."""
        with self._database.write() as session:
            recording = changes.locked_recording(session, recording_id)
            row = session.get(RecordingShareRow, storable(share_id))
            if row is None or row.recording_id != recording.id:
                raise ShareNotFound("The recording has no share with this id.")
            found = _share(row)
            _tell(session, actor, "share.ended", row)
            session.delete(row)
            session.flush()
            return found


def _check_addressee(session: Session, kind: ShareKind, name: str) -> None:
    """A share that reaches nobody is a typing error."""
    if kind == "user":
        user = people.user(session, name)
        if user is None or user.disabled_at is not None:
            raise UserNotFound("There is no user of this name to share with.")
    elif kind == "department" and not people.has_department(session, name):
        raise DepartmentNotFound("There is no department of this name to share with.")


def _forget_ended(session: Session, recording_id: str) -> None:
    ours = RecordingShareRow.recording_id == recording_id
    over = RecordingShareRow.expires_at <= changes.now()
    session.execute(
        delete(RecordingShareRow).where(ours, over),
        execution_options={"synchronize_session": False},
    )


def _check_room(session: Session, recording_id: str) -> None:
    ours = RecordingShareRow.recording_id == recording_id
    if (session.scalar(select(func.count()).where(ours)) or 0) >= MAX_SHARES:
        raise OptionInvalid(
            f"The recording is shared with {MAX_SHARES} already, which is the most.",
            "Share it with a department or with everyone.",
        )


def _tell(
    session: Session, actor: Actor | None, action: str, row: RecordingShareRow, **details: int
) -> None:
    """Departments may have any name, which the trail holds as an object only."""
    if row.to_kind == "user":
        audit.note(
            session, actor, action, "recording", row.recording_id,
            share=row.id, to="user", user=row.to_name, **details,
        )  # fmt: skip
        return
    audit.note(
        session, actor, action, "recording", row.recording_id,
        share=row.id, to=row.to_kind, **details,
    )  # fmt: skip
    if row.to_kind == "department":
        audit.note(
            session, actor, action, "department", row.to_name,
            share=row.id, recording=row.recording_id, **details,
        )  # fmt: skip


def _share(row: RecordingShareRow) -> Share:
    kind: ShareKind = row.to_kind  # type: ignore[assignment]
    return Share(
        id=row.id, recording_id=row.recording_id, to_kind=kind, to_name=row.to_name or None,
        made_by=row.made_by, created_at=row.created_at, expires_at=row.expires_at,
    )  # fmt: skip
