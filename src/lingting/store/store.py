"""The store: one database and one blob store as one thing that loses nothing.

Audio is durable before a row speaks of it, so a crash in between leaves audio without a row, which
is found by ``check`` and taken up when the same audio is kept again; it never leaves a row without
audio. A purge goes the other way round: rows first, with a receipt that says ``pending`` until the
audio is gone too.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from filelock import FileLock, Timeout
from sqlalchemy import delete, func, or_, select, text
from sqlalchemy.orm import Session

from lingting.errors import (
    OptionInvalid,
    RecordingHeld,
    RecordingNotFound,
    StoreBusy,
    StoreDamaged,
    StoreUnreachable,
)
from lingting.store import audit, changes, migrating, queries, retention
from lingting.store.blobs import BlobStore, FolderBlobs, open_blobs
from lingting.store.database import Database, open_database
from lingting.store.records import (
    Actor,
    Blob,
    Checkup,
    Cursor,
    Hit,
    Kept,
    Receipt,
    Recording,
    Revision,
)
from lingting.store.retention import RetentionReport, RetentionRule, parse_rules
from lingting.store.rows import storable, storable_name, transcript_of
from lingting.store.schema import (
    BlobRow,
    ReceiptRow,
    RecordingRow,
    RevisionRow,
    RevisionSegmentRow,
    SettingRow,
    TagRow,
    TranscriptRow,
)
from lingting.transcript import Segment, Transcript

T = TypeVar("T")

_LOCK_TIMEOUT_S = 10.0
_KEEP_TRIES = 3
_SHORT_TIMEOUT_S = 2.0
_AUDIO_LOCK = 0x6C696E67_61756469
_SMALL = 20
"""Recordings in one transaction of a retention run: others write in between."""
_RETENTION = "retention"
_RULES = Actor(retention.AUTHOR, retention.AUTHOR)
_COMPACTED = "compacted"
"""The last receipt of whose recording nothing is left in the file."""
_COMPACT_AT_ONCE_BYTES = 64 << 20
_COMPACT_BYTES = 2 << 30
"""A larger file is written anew when its owner asks for it: others wait with their writes."""
_PAGE_SEGMENTS = 1_000
_MAX_TAG_CHARS = 100


class Store:
    """Recordings and their transcripts. Made by ``open_store``; may be used by many threads."""

    def __init__(self, database: Database, blobs: BlobStore, folder: Path) -> None:
        self.database = database
        self.blobs = blobs
        self.folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; calling it twice is fine."""
        self.database.close()

    # Keeping -----------------------------------------------------------------------------------

    def keep(
        self,
        audio: Path | IO[bytes] | Blob,
        transcript: Transcript,
        *,
        name: str,
        peaks: bytes | None = None,
        owner: str | None = None,
        department: str | None = None,
    ) -> Kept:
        """Keep a recording with what a recogniser wrote; both are durable when it returns.

        The same audio under the same name of the same owner is the same recording: another
        transcript becomes another revision of it, the same transcript changes nothing. So a run
        that was killed can simply be done again. The same audio under another name is another
        recording, whose bytes are stored once.
        """
        for blob in self._put_again(audio):
            with self.database.write() as session:
                self._lock_blob(session, blob.digest)
                if self.blobs.has(blob.digest):
                    return self._keep(session, blob, transcript, name, peaks, owner, department)
        raise StoreDamaged("The audio is gone that was to be kept.", "Give it once more.")

    def _put_again(self, audio: Path | IO[bytes] | Blob) -> Iterator[Blob]:
        """The audio, put; and again, where it can be read again and a purge took it meanwhile."""
        again = _again(audio)
        for _ in range(_KEEP_TRIES):
            yield audio if isinstance(audio, Blob) else self.put(audio)
            if again is None:
                return
            again()

    def put(self, audio: Path | IO[bytes]) -> Blob:
        """Keep audio that no row speaks of yet. Raises StoreUnreachable."""
        if not isinstance(audio, Path):
            return self.blobs.put(audio)
        try:
            stream = audio.open("rb")
        except OSError as exc:
            raise StoreUnreachable(
                f"The recording cannot be read again: {exc.strerror}.", "Check the file."
            ) from exc
        with stream:
            return self.blobs.put(stream)

    def _keep(
        self,
        session: Session,
        blob: Blob,
        transcript: Transcript,
        name: str,
        peaks: bytes | None,
        owner: str | None,
        department: str | None,
    ) -> Kept:
        transcript = changes.storable_transcript(transcript)
        name = storable_name(name)
        changes.note_blob(session, blob, peaks)
        found = changes.same_recording(session, blob.digest, name, owner)
        recording_id = found or changes.add_recording(
            session, blob.digest, name, transcript, owner=owner, department=department
        )
        if found is not None:
            changes.note_audio(session, recording_id, transcript)
        is_changed = changes.add_machine_revision(session, recording_id, transcript)
        session.flush()
        return Kept(queries.recording(session, recording_id), found is None, is_changed)

    def receive(
        self,
        audio: Path | IO[bytes] | Blob,
        then: Callable[[Session, str], T],
        *,
        name: str,
        owner: str | None = None,
        department: str | None = None,
        is_fresh: bool = False,
    ) -> T:
        """Keep a recording that nobody has transcribed yet, and do ``then`` with its id.

        Both are one transaction. The same audio under the same name of the same owner is the same
        recording, as in ``keep``, unless it ``is_fresh``.
        """
        name = storable_name(name)
        for blob in self._put_again(audio):
            with self.database.write() as session:
                self._lock_blob(session, blob.digest)
                if self.blobs.has(blob.digest):
                    changes.note_blob(session, blob, None)
                    found = (
                        None
                        if is_fresh
                        else changes.same_recording(session, blob.digest, name, owner)
                    )
                    recording_id = found or changes.add_recording(
                        session, blob.digest, name, None, owner=owner, department=department
                    )
                    return then(session, recording_id)
        raise StoreDamaged("The audio is gone that was to be kept.", "Give it once more.")

    def discard(self, digest: str) -> bool:
        """Remove audio that no recording has, such as of an upload that was refused.

        False when a recording has it.
        """
        with self.database.write() as session:
            self._lock_blob(session, digest)
            if session.scalar(select(func.count()).where(RecordingRow.digest == digest)):
                return False
            row = session.get(BlobRow, digest)
            if row is not None:  # nothing to write is also possible on a full disk
                session.delete(row)
            self.blobs.remove(digest)
            return True

    def _lock_blob(self, session: Session, digest: str) -> None:
        """Keeping and purging the same audio take turns."""
        self.database.lock(session, int(digest[:15], 16))

    def has_kept(self, digest: str, *, name: str, owner: str | None = None) -> bool:
        """True when a recording with this audio and name is in the history with a transcript."""
        with self.database.read() as session:
            found = changes.same_recording(session, digest, storable_name(name), owner)
            return found is not None and queries.recording(session, found).revision > 0

    # Reading -----------------------------------------------------------------------------------

    def recordings(
        self,
        *,
        limit: int = 50,
        after: Cursor | None = None,
        is_deleted: bool = False,
        tag: str | None = None,
        owner: str | None = None,
    ) -> list[Recording]:
        """A page of the history, the newest first; go on with ``after=cursor_of(page[-1])``.

        ``owner``: only theirs.
        """
        with self.database.read() as session:
            return queries.page(
                session, after=after, limit=limit, is_deleted=is_deleted, tag=tag, owner=owner
            )

    def recording(self, recording_id: str) -> Recording:
        """By its id or its first characters, deleted or not. Raises RecordingNotFound."""
        with self.database.read() as session:
            return queries.recording(session, queries.whole_id(session, recording_id))

    def transcript(self, recording_id: str, revision: int | None = None) -> Transcript:
        """The current revision, or the one with that number; equal to what was kept."""
        with self.database.read() as session:
            whole = queries.whole_id(session, recording_id)
            return queries.transcript(session, queries.revision_row(session, whole, revision))

    def head(self, recording_id: str, revision: int | None = None) -> tuple[int, int, Transcript]:
        """Number of a revision, how many segments it has, and all of it but the segments."""
        with self.database.read() as session:
            whole = queries.whole_id(session, recording_id)
            row = queries.revision_row(session, whole, revision)
            return row.number, row.segment_count, transcript_of(row.facts, ())

    def segments(
        self,
        recording_id: str,
        revision: int | None = None,
        *,
        start: int = 0,
        limit: int | None = None,
    ) -> Iterator[Segment]:
        """``limit`` segments one after another, from position ``start``; memory is that of a page.

        Revisions never change, so the pages fit together whatever others do meanwhile.
        """
        after = start - 1
        with self.database.read() as session:
            whole = queries.whole_id(session, recording_id)
            row = queries.revision_row(session, whole, revision)
            revision_id, last = row.id, row.segment_count - 1
        if limit is not None:
            last = min(last, after + limit)
        while after < last:
            size = min(_PAGE_SEGMENTS, last - after)
            with self.database.read() as session:
                page = queries.segments(session, revision_id, after=after, limit=size)
            if not page:
                raise RecordingNotFound("The recording was purged while it was read.")
            yield from (segment for _, _, segment in page)
            after = page[-1][0]

    def revisions(self, recording_id: str) -> list[Revision]:
        """Every state of the transcript, the oldest first."""
        with self.database.read() as session:
            return queries.revisions(session, queries.whole_id(session, recording_id))

    def search(
        self, wanted: str, *, limit: int = 50, after: tuple[int, int] | None = None
    ) -> list[Hit]:
        """Segments whose text holds ``wanted``, see ``queries.search``.

        Letters match whatever their case, beyond ASCII on Postgres only.
        """
        wanted = storable(wanted.strip())
        if not wanted:
            raise OptionInvalid("Nothing is searched for.", "Give at least one character.")
        with self.database.read() as session:
            return queries.search(session, wanted, limit=limit, after=after)

    def peaks(self, digest: str) -> bytes | None:
        """What ``keep`` was given for this audio."""
        with self.database.read() as session:
            return session.scalar(select(BlobRow.peaks).where(BlobRow.digest == digest))

    def preview(
        self, recording_id: str, make: Callable[[Path], bytes] | None = None
    ) -> bytes | None:
        """The peaks of a recording's audio, see ``audio.peaks``; None when nobody made them yet.

        ``make`` makes them from a file, once: whoever asks next, for any recording with the same
        audio, is given what was stored. Without it nothing is decoded.
        """
        with self.database.read() as session:
            whole = queries.whole_id(session, recording_id)
            found = session.execute(
                select(BlobRow.digest, BlobRow.peaks)
                .join(RecordingRow, RecordingRow.digest == BlobRow.digest)
                .where(RecordingRow.id == whole)
            ).one()
        digest, peaks = found
        if peaks is not None or make is None:
            return peaks
        with self.blobs.local_path(digest) as path:
            made = make(path)
        with self.database.write() as session:
            row = session.get(BlobRow, digest, with_for_update=True)
            if row is None:
                raise RecordingNotFound("The recording was purged while it was read.")
            if row.peaks is None:  # two may have made them at once
                row.peaks = made
            return row.peaks

    # Changing ----------------------------------------------------------------------------------

    def revise(
        self,
        recording_id: str,
        transcript: Transcript,
        *,
        based_on: int,
        author: str | None = None,
        actor: Actor | None = None,
    ) -> int:
        """A person's correction of revision ``based_on``, which must be the current one.

        The number of the new revision. Raises RevisionConflict when somebody was quicker. Here and
        below, ``actor`` is who does it, for the audit trail; None: whoever runs this program.
        """
        transcript = changes.storable_transcript(transcript)
        with self.database.write() as session:
            whole = queries.whole_id(session, recording_id)
            number = changes.add_human_revision(
                session, whole, transcript, author=author, based_on=based_on
            )
            audit.note(
                session, actor, "transcript.corrected", "recording", whole,
                revision=number, based_on=based_on,
            )  # fmt: skip
            return number

    def restore_revision(
        self,
        recording_id: str,
        number: int,
        *,
        author: str | None = None,
        actor: Actor | None = None,
    ) -> int:
        """Make an earlier state current again, as a new revision; its number."""
        with self.database.write() as session:
            whole = queries.whole_id(session, recording_id)
            made = changes.restore_revision(session, whole, number, author=author)
            audit.note(
                session, actor, "transcript.restored", "recording", whole,
                revision=made, restored_from=number,
            )  # fmt: skip
            return made

    def tag(
        self, recording_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> Recording:
        """Add and remove tags; a tag that is there already, or not there, is no error."""
        added, removed = ({_tag(one) for one in tags} for tags in (add, remove))
        with self.database.write() as session:
            whole = queries.whole_id(session, recording_id)
            changes.locked_transcript(session, whole)
            session.execute(
                delete(TagRow).where(TagRow.recording_id == whole, TagRow.tag.in_(removed))
            )
            there = set(session.scalars(select(TagRow.tag).where(TagRow.recording_id == whole)))
            kept_at = session.get_one(RecordingRow, whole).created_at
            session.add_all(
                TagRow(recording_id=whole, tag=one, created_at=kept_at) for one in added - there
            )
            session.flush()
            return queries.recording(session, whole)

    def tags(self) -> list[tuple[str, int]]:
        """Every tag in use with the number of its recordings."""
        with self.database.read() as session:
            return queries.tags(session)

    def delete(self, recording_id: str, *, actor: Actor | None = None) -> Recording:
        """Out of the history, and all there still: ``undo`` brings it back.

        Raises RecordingHeld.
        """
        with self.database.write() as session:
            row = self._row(session, recording_id)
            if row.deleted_at is None:
                _refuse_held(row)
                row.deleted_at = changes.now()
                audit.note(session, actor, "recording.deleted", "recording", row.id)
            session.flush()
            return queries.recording(session, row.id)

    def hold(
        self, recording_id: str, *, author: str | None = None, actor: Actor | None = None
    ) -> Recording:
        """Put it on legal hold: it can be read and corrected, but neither deleted nor purged.

        Who held it first stays named. A recording that is deleted already can still be held.
        """
        with self.database.write() as session:
            row = self._row(session, recording_id)
            if row.held_at is None:
                row.held_at = changes.now()
                row.held_by = None if author is None else storable(author)
                audit.note(session, actor, "recording.held", "recording", row.id)
            session.flush()
            return queries.recording(session, row.id)

    def release(self, recording_id: str, *, actor: Actor | None = None) -> Recording:
        """End a legal hold; one that is not there is no error."""
        with self.database.write() as session:
            row = self._row(session, recording_id)
            if row.held_at is not None:
                row.held_at = row.held_by = None
                audit.note(session, actor, "recording.released", "recording", row.id)
            session.flush()
            return queries.recording(session, row.id)

    def undo(self, recording_id: str | None = None, *, actor: Actor | None = None) -> Recording:
        """Bring back what was deleted; without an id, what was deleted last."""
        with self.database.write() as session:
            if recording_id is not None:
                row = self._row(session, recording_id)
            else:
                query = select(RecordingRow).where(RecordingRow.deleted_at.is_not(None))
                newest = query.order_by(RecordingRow.deleted_at.desc(), RecordingRow.id).limit(1)
                found = session.scalars(newest).first()
                if found is None:
                    raise RecordingNotFound("No recording is deleted.", "There is nothing to undo.")
                row = found
            if row.deleted_at is not None:
                row.deleted_at = None
                audit.note(session, actor, "recording.undone", "recording", row.id)
            session.flush()
            return queries.recording(session, row.id)

    def purge(
        self, recording_id: str, *, author: str | None = None, actor: Actor | None = None
    ) -> Receipt:
        """Remove a deleted recording for good: rows, and audio that no other recording has.

        While a backup reads the audio, or its store is down, the receipt says ``pending`` and the
        audio goes later. Raises OptionInvalid for one that was not deleted first, RecordingHeld.
        """
        with self.database.write() as session:
            row = self._row(session, recording_id)
            if row.deleted_at is None:
                raise OptionInvalid("Only a deleted recording is purged.", "Delete it first.")
            _refuse_held(row)
            receipt = changes.remove_recording(session, row.id, author)
            _note_purge(session, actor, receipt)
        (receipt,) = self._finish_purges([receipt])
        self._forget(_COMPACT_AT_ONCE_BYTES)
        return receipt

    def _finish_purges(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Remove their audio, if that can be done now; the receipts as they are then."""
        try:
            with self.audio_stays(timeout_s=_SHORT_TIMEOUT_S):
                return [self._finish_purge(one.id, one.digest) for one in receipts]
        except (StoreBusy, StoreUnreachable):
            ids = [one.id for one in receipts]
            with self.database.read() as session:
                rows = session.scalars(select(ReceiptRow).where(ReceiptRow.id.in_(ids)))
                found = {row.id: changes.receipt_of(row) for row in rows}
            return [found[id] for id in ids]

    def _finish_purge(self, receipt_id: int, digest: str) -> Receipt:
        """Remove the audio unless it is in use. Keeping the same audio waits until it is decided.

        Killed before the end, it is done again: removing what is gone changes nothing.
        """
        with self.database.write() as session:
            self._lock_blob(session, digest)
            row = session.get_one(ReceiptRow, receipt_id)
            users = select(func.count()).where(RecordingRow.digest == digest)
            if session.scalar(users):
                row.audio = "shared"
            else:
                session.execute(delete(BlobRow).where(BlobRow.digest == digest))
                self.blobs.remove(digest)
                row.audio = "removed"
            session.flush()
            return changes.receipt_of(row)

    def sweep(self) -> list[Receipt]:
        """Finish what purges left: audio, the database's log, copies on this machine.

        Every machine that reads audio from a bucket should do it now and then; it costs little.
        """
        with self.database.read() as session:
            rows = session.scalars(select(ReceiptRow).where(ReceiptRow.audio == "pending"))
            pending = [changes.receipt_of(row) for row in rows]
        finished = self._finish_purges(pending) if pending else []
        copies = set(self.blobs.copies())
        if copies:
            with self.database.read() as session:
                copies -= set(session.scalars(select(BlobRow.digest)))
        for digest in copies:
            self.blobs.forget_copy(digest)
        self._forget(_COMPACT_BYTES)
        return [one for one in finished if one.audio != "pending"]

    def compact(self) -> None:
        """Write an SQLite file anew, so that nothing of what was purged is left in it.

        Raises StoreBusy when others write for too long, StoreUnreachable without the room.
        """
        with self.database.read() as session:
            last = session.scalar(select(func.max(ReceiptRow.id))) or 0
        self.database.compact()
        self.set_setting(_COMPACTED, last)
        self.database.forget_removed()

    def _forget(self, limit_bytes: int) -> None:
        """``compact`` after purges, if the file is no larger; if it cannot be done now, later."""
        with contextlib.suppress(StoreBusy, StoreUnreachable):
            if self.database.is_sqlite and self.database.size_bytes <= limit_bytes:
                with self.database.read() as session:
                    last = session.scalar(select(func.max(ReceiptRow.id))) or 0
                if last > (self.setting(_COMPACTED) or 0):
                    self.compact()
                    return
            self.database.forget_removed()

    def receipts(self) -> list[Receipt]:
        """What was purged, the newest first."""
        with self.database.read() as session:
            rows = session.scalars(select(ReceiptRow).order_by(ReceiptRow.id.desc()))
            return [changes.receipt_of(row) for row in rows]

    # Retention ---------------------------------------------------------------------------------

    def retention(self) -> tuple[RetentionRule, ...]:
        """The rules, the first that fits a recording decides; empty when everything stays."""
        return parse_rules(self.setting(_RETENTION) or [])

    def set_retention(self, rules: Iterable[RetentionRule], *, actor: Actor | None = None) -> None:
        """Take the place of all rules; nothing happens before ``apply_retention``."""
        stored = [rule.as_dict() for rule in rules]
        parse_rules(stored)
        with self.database.write() as session:
            row = SettingRow(name=_RETENTION, value=stored, changed_at=changes.now())
            session.merge(row)
            audit.note(session, actor, "retention.set", "setting", _RETENTION, rules=len(stored))

    def due(self, now: datetime | None = None) -> tuple[int, int, int]:
        """How many recordings the rules would delete, and purge, now; how many a hold keeps."""
        rules, now = self.retention(), now or changes.now()
        deletes, purges = retention.to_delete(rules, now), retention.to_purge(rules, now)
        with self.database.read() as session:
            held = retention.count_held(session, deletes) + retention.count_held(session, purges)
            return retention.count(session, deletes), retention.count(session, purges), held

    def apply_retention(self, now: datetime | None = None, *, limit: int = 100) -> RetentionReport:
        """Delete and purge what is due, at most ``limit`` of each, in small transactions.

        Ended at any moment, the next run goes on; two at once share the work. What is deleted by
        a run with ``purge_after_days=0`` is purged by the next.
        """
        rules, now = self.retention(), now or changes.now()
        purges, deletes = retention.to_purge(rules, now), retention.to_delete(rules, now)
        receipts, deleted = self.sweep(), list[str]()
        purged = 0
        while rules and purged < limit:
            with self.database.write() as session:
                ids = retention.take(session, purges, min(_SMALL, limit - purged))
                made = [changes.remove_recording(session, id, retention.AUTHOR) for id in ids]
                for receipt in made:
                    _note_purge(session, _RULES, receipt)
            if not made:
                break
            purged += len(made)
            receipts += self._finish_purges(made)
        while rules and len(deleted) < limit:
            with self.database.write() as session:
                ids = retention.take(session, deletes, min(_SMALL, limit - len(deleted)))
                retention.delete(session, ids, now)
                for id in ids:
                    audit.note(session, _RULES, "recording.deleted", "recording", id)
            if not ids:
                break
            deleted += ids
        if purged:
            self._forget(_COMPACT_BYTES)
        with self.database.read() as session:
            held = retention.count_held(session, deletes) + retention.count_held(session, purges)
        is_done = purged < limit and len(deleted) < limit
        return RetentionReport(tuple(deleted), tuple(receipts), held, is_done)

    # Settings ----------------------------------------------------------------------------------

    def setting(self, name: str) -> Any:
        """A value that was set in this store; None when it never was."""
        with self.database.read() as session:
            row = session.get(SettingRow, name)
            return None if row is None else row.value

    def set_setting(self, name: str, value: Any) -> None:
        """Keep a JSON value under a name of at most 100 characters."""
        with self.database.write() as session:
            session.merge(SettingRow(name=name, value=value, changed_at=changes.now()))

    def settings_of(self, prefix: str) -> dict[str, Any]:
        """Every value whose name begins so, by name."""
        query = select(SettingRow).where(SettingRow.name.startswith(prefix, autoescape=True))
        with self.database.read() as session:
            rows = session.scalars(query.order_by(SettingRow.name))
            return {row.name: row.value for row in rows}

    def change_setting(self, name: str, change: Callable[[Any], Any]) -> Any:
        """Replace a value by what ``change`` makes of it (None where there is none), in one go.

        Two callers take turns, so the second sees what the first wrote. None removes the value.
        What ``change`` raises leaves everything as it was. The new value.
        """
        with self.database.write() as session:
            self.database.lock(session, _setting_lock(name))
            row = session.get(SettingRow, name)
            value = change(None if row is None else row.value)
            if value is not None:
                session.merge(SettingRow(name=name, value=value, changed_at=changes.now()))
            elif row is not None:
                session.delete(row)
            return value

    # Care --------------------------------------------------------------------------------------

    def check(self, *, audio: bool = False) -> Checkup:
        """Compare rows and audio, and finish what was interrupted. ``audio`` reads every byte.

        Nothing that somebody gave is removed: audio without a row stays where it is.
        """
        with self.database.read() as session:
            pending = session.execute(
                select(ReceiptRow.id, ReceiptRow.digest).where(ReceiptRow.audio == "pending")
            ).all()
        if pending:
            with self.audio_stays():
                for receipt_id, digest in pending:
                    self._finish_purge(receipt_id, digest)
        self._forget(_COMPACT_BYTES)
        there = set(self.blobs.digests())
        # Read after the folder: audio that is kept meanwhile has no row yet, which is no fault.
        with self.database.read() as session:
            known = set(session.scalars(select(BlobRow.digest)))
            recordings = session.scalar(select(func.count()).select_from(RecordingRow)) or 0
            faults = tuple(self._row_faults(session))
        missing = sorted(one for one in known - there if not self.blobs.has(one))
        damaged = sorted(one for one in known & there if audio and not self.blobs.is_intact(one))
        return Checkup(
            recordings=recordings,
            blobs=len(known),
            orphan_blobs=tuple(sorted(there - known)),
            missing_blobs=tuple(missing),
            damaged_blobs=tuple(damaged),
            row_faults=faults,
            finished_purges=len(pending),
            removed_leftovers=self.blobs.remove_leftovers(),
        )

    def _row_faults(self, session: Session) -> Iterator[str]:
        if self.database.is_sqlite:
            for (found,) in session.execute(text("pragma integrity_check")):
                if found != "ok":
                    yield "The database file is damaged."
            for table, *_ in session.execute(text("pragma foreign_key_check")):
                yield f"A row of {table} leads nowhere."
        links = (
            select(RevisionSegmentRow.revision_id, func.count().label("links"))
            .group_by(RevisionSegmentRow.revision_id)
            .subquery()
        )
        wrong = (
            select(func.count())
            .select_from(RevisionRow)
            .outerjoin(links, links.c.revision_id == RevisionRow.id)
            .where(RevisionRow.segment_count != func.coalesce(links.c.links, 0))
        )
        if count := session.scalar(wrong):
            yield f"{count} revisions do not have all their segments."
        current = (RevisionRow.transcript_id == TranscriptRow.id) & (
            RevisionRow.number == TranscriptRow.current_number
        )
        without = (
            select(func.count())
            .select_from(RecordingRow)
            .outerjoin(TranscriptRow, TranscriptRow.recording_id == RecordingRow.id)
            .outerjoin(RevisionRow, current)
            .where(
                RevisionRow.id.is_(None),
                or_(TranscriptRow.id.is_(None), TranscriptRow.current_number > 0),
            )
        )
        if count := session.scalar(without):
            yield f"{count} recordings lost their transcript."

    @contextmanager
    def audio_stays(self, *, timeout_s: float | None = None) -> Iterator[None]:
        """Audio is not removed while a backup copies it, and the other way round.

        Raises StoreBusy when the other takes longer than the time-out.
        """
        wait_s = _LOCK_TIMEOUT_S if timeout_s is None else timeout_s
        try:
            with (
                FileLock(self.folder / "audio.lock", timeout=wait_s),
                self.database.alone(_AUDIO_LOCK, wait_s),
            ):
                yield
        except Timeout as exc:
            raise StoreBusy("A backup or a purge is under way.", retry_after_s=30.0) from exc

    def _row(self, session: Session, recording_id: str) -> RecordingRow:
        whole = queries.whole_id(session, recording_id)
        changes.locked_transcript(session, whole)
        return session.get_one(RecordingRow, whole)


def _note_purge(session: Session, actor: Actor | None, receipt: Receipt) -> None:
    audit.note(
        session, actor, "recording.purged", "recording", receipt.recording_id,
        receipt=receipt.id, revisions=receipt.revisions, segments=receipt.segments,
    )  # fmt: skip


def _refuse_held(row: RecordingRow) -> None:
    if row.held_at is not None:
        raise RecordingHeld("The recording is on legal hold.")


def open_store(folder: Path | str | None = None, *, url: str | None = None) -> Store:
    """The store in ``folder`` (None: LINGTING_DATA_DIR), with its database at ``url``.

    Without ``url`` the database is LINGTING_DATABASE_URL or the SQLite file in the folder. An empty
    database gets its tables; an older one is left as it is, and StoreSchema says how to upgrade it.
    """
    database, blobs, place = parts(folder, url)
    try:
        migrating.prepare(database)
    except BaseException:
        database.close()
        raise
    return Store(database, blobs, place)


def parts(folder: Path | str | None, url: str | None) -> tuple[Database, BlobStore, Path]:
    """Database, blobs and folder of a store that may not be there yet, or be of another schema."""
    from lingting.config import settings

    now = settings()
    place = now.data_folder if folder is None else Path(folder).expanduser().absolute()
    if url is None and folder is None and now.database_url is not None:
        url = now.database_url.get_secret_value()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreUnreachable(f"The data folder cannot be made: {exc.strerror}.") from exc
    # A folder that is named is a store of its own, whatever the settings say.
    blobs = open_blobs(now) if folder is None else FolderBlobs(place / "blobs")
    return open_database(url, place), blobs, place


def _again(audio: Path | IO[bytes] | Blob) -> Callable[[], object] | None:
    """Makes the audio readable once more; None for what was read for ever."""
    if isinstance(audio, Path):
        return lambda: None
    if isinstance(audio, Blob) or not audio.seekable():
        return None
    start = audio.tell()
    return lambda: audio.seek(start)


def cursor_of(recording: Recording) -> Cursor:
    """Where the next page begins."""
    return Cursor(recording.created_at, recording.id)


def all_recordings(
    store: Store, *, is_deleted: bool = False, tag: str | None = None, page_size: int = 500
) -> Iterator[Recording]:
    """Every recording, page after page."""
    after: Cursor | None = None
    while True:
        page = store.recordings(limit=page_size, after=after, is_deleted=is_deleted, tag=tag)
        yield from page
        if len(page) < page_size:
            return
        after = cursor_of(page[-1])


def _setting_lock(name: str) -> int:
    """A key of the database's locks for a setting."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


def _tag(given: str) -> str:
    tag = " ".join(storable(given).split())
    if not 0 < len(tag) <= _MAX_TAG_CHARS:
        raise OptionInvalid(f"A tag has 1 to {_MAX_TAG_CHARS} characters; this one has {len(tag)}.")
    return tag
