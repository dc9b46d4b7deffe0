"""Resumable uploads as rows: how far each has come, whose it is, what it becomes.

The rows are the truth. An upload has what its parts say, and whoever writes names the ``holder`` it
took the upload with: when another one took it since, it may write nothing more. Files are in
``partials``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from lingting.errors import (
    BodyTooLarge,
    NotAllowed,
    OptionInvalid,
    UploadConflict,
    UploadGone,
    UploadNotFound,
    UploadsTooMany,
)
from lingting.store import changes
from lingting.store.database import affected, lock
from lingting.store.records import Upload, UploadState
from lingting.store.rows import storable
from lingting.store.schema import UploadPartRow, UploadRow
from lingting.transcript import Failure

if TYPE_CHECKING:
    from lingting.store.database import Database

MAX_PARTS = 10_000
_REMEMBERED = timedelta(hours=24)
"""How long an upload that ended is told about."""


class UploadRows:
    """The unfinished uploads of a store. May be used by many threads."""

    def __init__(self, database: Database, *, expires_s: float, most_open: int) -> None:
        self._database = database
        self._expires = timedelta(seconds=expires_s)
        self._most_open = most_open

    def add(
        self,
        *,
        owner: str,
        department: str | None,
        size_bytes: int,
        kind: Literal["whole", "partial"],
        asked: Mapping[str, Any],
        sha256: str | None,
        fingerprint: str | None,
        key: str | None,
    ) -> Upload:
        """A new one, or the one of this owner with the same fingerprint that can go on.

        Raises UploadsTooMany.
        """
        with self._database.write() as session:
            lock(session, f"uploads:{owner}")
            found = None
            if fingerprint is not None:
                found = self._same(session, owner, fingerprint)
            if found is None:
                self._check_room(session, owner)
                now = changes.now()
                found = UploadRow(
                    id=changes.new_id(), owner=owner, department=department,
                    size_bytes=size_bytes, received_bytes=0, state="open", kind=kind,
                    asked=dict(asked), sha256=sha256, fingerprint=fingerprint, key=key,
                    created_at=now, changed_at=now, expires_at=now + self._expires,
                )  # fmt: skip
                session.add(found)
            session.flush()
            return _upload(found)

    def join(
        self, ids: Sequence[str], *, owner: str, department: str | None, asked: Mapping[str, Any],
        sha256: str | None, key: str | None, max_bytes: int,
    ) -> Upload:  # fmt: skip
        """A whole one of partial ones, whose parts it takes.

        Raises UploadNotFound, UploadGone, OptionInvalid for one that is not partial and complete.
        """
        with self._database.write() as session:
            lock(session, f"uploads:{owner}")
            if len(set(ids)) != len(ids):
                raise OptionInvalid("An upload is named twice.")
            rows = [_own_row(session, id, owner) for id in ids]
            if any(row.kind != "partial" or row.received_bytes != row.size_bytes for row in rows):
                raise OptionInvalid("Only complete partial uploads can be joined.")
            size_bytes, now = sum(row.size_bytes for row in rows), changes.now()
            if size_bytes > max_bytes:
                raise BodyTooLarge(f"The upload is larger than the limit of {max_bytes} bytes.")
            made = UploadRow(
                id=changes.new_id(), owner=owner, department=department, size_bytes=size_bytes,
                received_bytes=size_bytes, state="open", kind="final", asked=dict(asked),
                sha256=sha256, key=key, created_at=now, changed_at=now,
                expires_at=now + self._expires,
            )  # fmt: skip
            session.add(made)
            session.flush()
            start_bytes = 0
            for row in rows:
                session.execute(
                    update(UploadPartRow)
                    .where(UploadPartRow.upload_id == row.id)
                    .values(upload_id=made.id, start_bytes=UploadPartRow.start_bytes + start_bytes),
                    execution_options={"synchronize_session": False},
                )
                start_bytes += row.size_bytes
                row.state = "done"
            if _count_parts(session, made.id) > MAX_PARTS:
                raise OptionInvalid("The uploads have too many parts together.")
            return _upload(made)

    def get(self, upload_id: str, *, owner: str) -> Upload:
        """Raises UploadNotFound, for somebody else's too."""
        with self._database.read() as session:
            return _upload(_found(session, upload_id, owner, is_locked=False))

    def listed(self, *, owner: str) -> list[Upload]:
        """The unfinished ones, the newest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(UploadRow)
                .where(UploadRow.owner == owner, UploadRow.state == "open")
                .order_by(UploadRow.created_at.desc(), UploadRow.id)
            )
            return [_upload(row) for row in rows]

    def take(self, upload_id: str, offset_bytes: int, *, owner: str) -> tuple[Upload, str]:
        """The right to write behind ``offset_bytes``; whoever had it has it no more.

        Raises UploadNotFound, UploadGone, UploadConflict when it has come to another place.
        """
        with self._database.write() as session:
            row = _own_row(session, upload_id, owner)
            if row.kind == "final":
                raise NotAllowed("This upload was joined of others; nothing is added to it.")
            if row.received_bytes != offset_bytes:
                raise UploadConflict(
                    f"The piece begins at {offset_bytes}; the upload is at {row.received_bytes}."
                )
            row.holder = changes.new_id()
            self._touch(row)
            return _upload(row), row.holder

    def advance(self, upload_id: str, holder: str, size_bytes: int, name: str) -> int:
        """Note a part that was kept; where the upload is then.

        Raises UploadConflict when another one took it meanwhile, UploadGone.
        """
        with self._database.write() as session:
            row = _locked(session, upload_id)
            if row is None or row.state != "open":
                raise UploadGone("The upload was ended.")
            if row.holder != holder:
                raise UploadConflict("Another request goes on with this upload.")
            if _count_parts(session, upload_id) >= MAX_PARTS:
                raise BodyTooLarge(
                    f"The upload came in more than {MAX_PARTS} pieces.", "Send larger ones."
                )
            session.add(
                UploadPartRow(
                    upload_id=upload_id, start_bytes=row.received_bytes, size_bytes=size_bytes,
                    name=name,
                )
            )  # fmt: skip
            row.received_bytes += size_bytes
            self._touch(row)
            return row.received_bytes

    def parts(self, upload_id: str) -> list[str]:
        """Names of its files, in order."""
        with self._database.read() as session:
            return _part_names(session, upload_id)

    def finish(self, upload_id: str, job_id: str) -> None:
        """It became this job; its files are of no use any more."""
        self._end(upload_id, "done", job_id=job_id)

    def fail(self, upload_id: str, failure: Failure) -> None:
        """It cannot become a job."""
        self._end(upload_id, "failed", failure=failure)

    def end(self, upload_id: str, *, owner: str) -> None:
        """Its owner does not want it any more. Raises UploadNotFound, UploadGone."""
        with self._database.write() as session:
            row = _own_row(session, upload_id, owner)
            row.state, row.asked = "ended", {}
            row.changed_at = changes.now()

    def _end(
        self, upload_id: str, state: UploadState, *, job_id: str | None = None,
        failure: Failure | None = None,
    ) -> None:  # fmt: skip
        with self._database.write() as session:
            row = _locked(session, upload_id)
            if row is None or row.state != "open":
                return
            row.state, row.job_id = state, job_id
            row.error = None if failure is None else {
                "code": failure.code, "message": failure.message
            }  # fmt: skip
            row.asked = {}  # hotwords and names; the job has them
            self._touch(row)

    # Care --------------------------------------------------------------------------------------

    def unfinished(self, idle_s: float) -> list[Upload]:
        """Complete ones that became nothing, because who was to make a job of them was ended."""
        before = changes.now() - timedelta(seconds=idle_s)
        with self._database.read() as session:
            rows = session.scalars(
                select(UploadRow).where(
                    UploadRow.state == "open", UploadRow.kind != "partial",
                    UploadRow.received_bytes == UploadRow.size_bytes,
                    UploadRow.changed_at < before,
                )
            )  # fmt: skip
            return [_upload(row) for row in rows]

    def expire(self) -> int:
        """End those that nothing came for; how many."""
        with self._database.write() as session:
            now = changes.now()
            found = session.execute(
                update(UploadRow)
                .where(UploadRow.state == "open", UploadRow.expires_at < now)
                .values(state="ended", asked={}, changed_at=now)
            )
            return affected(found)

    def needless(self, limit: int = 50) -> list[tuple[str, list[str]]]:
        """Uploads that ended and still have parts, with the names of their files."""
        with self._database.read() as session:
            has_parts = select(UploadPartRow.upload_id).where(
                UploadPartRow.upload_id == UploadRow.id
            )
            ids = session.scalars(
                select(UploadRow.id).where(UploadRow.state != "open", has_parts.exists())
                .limit(limit)
            ).all()  # fmt: skip
            return [(id, _part_names(session, id)) for id in ids]

    def forget_parts(self, upload_id: str) -> None:
        """Behind their files."""
        with self._database.write() as session:
            session.execute(delete(UploadPartRow).where(UploadPartRow.upload_id == upload_id))

    def forget_old(self) -> None:
        """Those that ended a day ago."""
        with self._database.write() as session:
            has_parts = select(UploadPartRow.upload_id)
            session.execute(
                delete(UploadRow).where(
                    UploadRow.state != "open",
                    UploadRow.changed_at < changes.now() - _REMEMBERED,
                    UploadRow.id.not_in(has_parts),
                )
            )

    def unknown(self, names: Sequence[str]) -> list[str]:
        """Of these names of files those that no row has."""
        with self._database.read() as session:
            known = set(
                session.scalars(select(UploadPartRow.name).where(UploadPartRow.name.in_(names)))
            )
            return [one for one in names if one not in known]

    def _touch(self, row: UploadRow) -> None:
        row.changed_at = changes.now()
        row.expires_at = row.changed_at + self._expires

    def _same(self, session: Session, owner: str, fingerprint: str) -> UploadRow | None:
        query = select(UploadRow).where(
            UploadRow.owner == owner, UploadRow.fingerprint == fingerprint,
            UploadRow.state == "open", UploadRow.expires_at > changes.now(),
        )  # fmt: skip
        return session.scalars(query.order_by(UploadRow.created_at).limit(1)).first()

    def _check_room(self, session: Session, owner: str) -> None:
        count = select(func.count()).where(UploadRow.owner == owner, UploadRow.state == "open")
        if (session.scalar(count) or 0) >= self._most_open:
            raise UploadsTooMany(
                f"One user has at most {self._most_open} unfinished uploads."
            )  # fmt: skip


def _locked(session: Session, upload_id: str) -> UploadRow | None:
    return session.get(UploadRow, storable(upload_id), with_for_update=True)


def _found(session: Session, upload_id: str, owner: str, *, is_locked: bool) -> UploadRow:
    row = _locked(session, upload_id) if is_locked else session.get(UploadRow, storable(upload_id))
    if row is None or row.owner != owner:
        raise UploadNotFound("There is no upload with this id.")
    return row


def _own_row(session: Session, upload_id: str, owner: str) -> UploadRow:
    """Locked. Raises UploadNotFound, UploadGone."""
    row = _found(session, upload_id, owner, is_locked=True)
    check_open(_upload(row))
    return row


def check_open(upload: Upload, now: datetime | None = None) -> None:
    """Raises UploadGone for one that takes nothing any more."""
    if upload.state != "open":
        raise UploadGone("The upload has ended.")
    if upload.expires_at <= (now or changes.now()):
        raise UploadGone("Nothing came for this upload for too long.")


def _count_parts(session: Session, upload_id: str) -> int:
    return session.scalar(select(func.count()).where(UploadPartRow.upload_id == upload_id)) or 0


def _part_names(session: Session, upload_id: str) -> list[str]:
    query = select(UploadPartRow.name).where(UploadPartRow.upload_id == upload_id)
    return list(session.scalars(query.order_by(UploadPartRow.start_bytes)))


def _upload(row: UploadRow) -> Upload:
    return Upload(
        id=row.id,
        owner=row.owner,
        department=row.department,
        size_bytes=row.size_bytes,
        received_bytes=row.received_bytes,
        state=cast(UploadState, row.state),
        kind=cast(Any, row.kind),
        asked=dict(row.asked),
        sha256=row.sha256,
        key=row.key,
        job_id=row.job_id,
        error=None if row.error is None else Failure(**row.error),
        created_at=row.created_at,
        changed_at=row.changed_at,
        expires_at=row.expires_at,
    )
