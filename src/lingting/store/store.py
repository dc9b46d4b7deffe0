"""The store: one database and one blob store as one thing that loses nothing.

Audio is durable before a row speaks of it, so a crash in between leaves audio without a row, which
is found by ``check`` and taken up when the same audio is kept again; it never leaves a row without
audio (``keeping``). A purge goes the other way round: rows first, with a receipt that says
``pending`` until the audio is gone too (``purging``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from filelock import FileLock, Timeout
from sqlalchemy import select
from sqlalchemy.orm import Session

from lingting.errors import RecordingNotFound, StoreBusy
from lingting.store import audit, changes, checking, keeping, purging, queries, retention, settings
from lingting.store.blobs import BlobStore
from lingting.store.database import Database
from lingting.store.history import History
from lingting.store.listed import HistoryFilters, HistoryPlace
from lingting.store.records import (
    Actor,
    Blob,
    Checkup,
    Cursor,
    Kept,
    Receipt,
    Recording,
    Revision,
    Sight,
)
from lingting.store.retention import RetentionReport, RetentionRule, parse_rules
from lingting.store.rows import storable, storable_name, transcript_of
from lingting.store.schema import BlobRow, ReceiptRow, RecordingRow
from lingting.transcript import Segment, Transcript

T = TypeVar("T")

_LOCK_TIMEOUT_S = 10.0
_AUDIO_LOCK = 0x6C696E67_61756469
_RETENTION = "retention"
_PAGE_SEGMENTS = 1_000


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
        return keeping.keep(
            self, audio, transcript, name=name, peaks=peaks, owner=owner, department=department
        )

    def put(self, audio: Path | IO[bytes]) -> Blob:
        """Keep audio that no row speaks of yet. Raises StoreUnreachable."""
        return keeping.put(self, audio)

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
        return keeping.receive(
            self, audio, then, name=name, owner=owner, department=department, is_fresh=is_fresh
        )

    def discard(self, digest: str) -> bool:
        """Remove audio that no recording has, such as of an upload that was refused.

        False when a recording has it.
        """
        return keeping.discard(self, digest)

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
        sight: Sight | None = None,
    ) -> list[Recording]:
        """A page of the history, the newest first; go on with ``after=cursor_of(page[-1])``.

        ``sight``: only what is seen with it. ``History`` has more filters, and other orders.
        """
        place = None if after is None else HistoryPlace("newest", after.created_at, after.id)
        filters = HistoryFilters(tag=tag, is_deleted=is_deleted)
        page = History(self.database).page(filters, limit=limit, after=place, sight=sight)
        return list(page.items)

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
            changes.note_peaks(session, digest, made)  # two may have made them at once
            noted = session.scalar(select(BlobRow.peaks).where(BlobRow.digest == digest))
            if noted is None:
                raise RecordingNotFound("The recording was purged while it was read.")
            return noted

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

    def change_segments(
        self,
        recording_id: str,
        wanted: Mapping[int, changes.SegmentChange],
        *,
        based_on: int,
        author: str | None = None,
        actor: Actor | None = None,
    ) -> int:
        """``revise`` for some segments, by their positions; what is read are only these.

        Raises OptionInvalid for a position that is not there.
        """
        with self.database.write() as session:
            whole = queries.whole_id(session, recording_id)
            number = changes.change_segments(
                session, whole, wanted, author=author, based_on=based_on
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
        self,
        recording_id: str,
        *,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
        actor: Actor | None = None,
    ) -> Recording:
        """Add and remove tags; a tag that is there already, or not there, is no error."""
        added, removed = ({changes.parse_tag(one) for one in tags} for tags in (add, remove))
        with self.database.write() as session:
            row = changes.locked_recording(session, recording_id)
            changes.change_tags(session, row, added, removed)
            audit.note(
                session, actor, "recording.tagged", "recording", row.id,
                added=len(added), removed=len(removed),
            )  # fmt: skip
            return queries.recording(session, row.id)

    def rename(self, recording_id: str, name: str, *, actor: Actor | None = None) -> Recording:
        """Another name for a recording; what was exported under the old one keeps it.

        Raises OptionInvalid for a name that cannot be.
        """
        wanted = changes.parse_name(name)
        with self.database.write() as session:
            row = changes.locked_recording(session, recording_id)
            if row.name != wanted:
                row.name = wanted
                audit.note(session, actor, "recording.renamed", "recording", row.id)
            session.flush()
            return queries.recording(session, row.id)

    def tags(self, *, sight: Sight | None = None) -> list[tuple[str, int]]:
        """Every tag in use with the number of its recordings."""
        with self.database.read() as session:
            return queries.tags(session, sight=sight)

    def delete(self, recording_id: str, *, actor: Actor | None = None) -> Recording:
        """Out of the history, and all there still: ``undo`` brings it back.

        Raises RecordingHeld.
        """
        with self.database.write() as session:
            row = changes.locked_recording(session, recording_id)
            if row.deleted_at is None:
                changes.refuse_held(row)
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
            row = changes.locked_recording(session, recording_id)
            if row.held_at is None:
                row.held_at = changes.now()
                row.held_by = None if author is None else storable(author)
                audit.note(session, actor, "recording.held", "recording", row.id)
            session.flush()
            return queries.recording(session, row.id)

    def release(self, recording_id: str, *, actor: Actor | None = None) -> Recording:
        """End a legal hold; one that is not there is no error."""
        with self.database.write() as session:
            row = changes.locked_recording(session, recording_id)
            if row.held_at is not None:
                row.held_at = row.held_by = None
                audit.note(session, actor, "recording.released", "recording", row.id)
            session.flush()
            return queries.recording(session, row.id)

    def undo(self, recording_id: str | None = None, *, actor: Actor | None = None) -> Recording:
        """Bring back what was deleted; without an id, what was deleted last."""
        with self.database.write() as session:
            wanted = queries.last_deleted(session) if recording_id is None else recording_id
            row = changes.locked_recording(session, wanted)
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
        return purging.purge(self, recording_id, author=author, actor=actor)

    def sweep(self) -> list[Receipt]:
        """Finish what purges left: audio, the database's log, copies on this machine.

        Every machine that reads audio from a bucket should do it now and then; it costs little.
        """
        return purging.sweep(self)

    def compact(self) -> None:
        """Write an SQLite file anew, so that nothing of what was purged is left in it.

        Raises StoreBusy when others write for too long, StoreUnreachable without the room.
        """
        purging.compact(self)

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
            settings.put(session, _RETENTION, stored)
            audit.note(session, actor, "retention.set", "setting", _RETENTION, rules=len(stored))

    def due(self, now: datetime | None = None) -> tuple[int, int, int]:
        """How many recordings the rules would delete, and purge, now; how many a hold keeps."""
        rules, now = self.retention(), now or changes.now()
        deletes, purges = retention.to_delete(rules, now), retention.to_purge(rules, now)
        with self.database.read() as session:
            held = retention.count(session, deletes, purges, is_held=True)
            return retention.count(session, deletes), retention.count(session, purges), held

    def apply_retention(self, now: datetime | None = None, *, limit: int = 100) -> RetentionReport:
        """Delete and purge what is due, at most ``limit`` of each, in small transactions.

        Ended at any moment, the next run goes on; two at once share the work. What is deleted by
        a run with ``purge_after_days=0`` is purged by the next.
        """
        return purging.apply_retention(self, now or changes.now(), limit)

    # Settings ----------------------------------------------------------------------------------

    def setting(self, name: str) -> Any:
        """A value that was set in this store; None when it never was."""
        with self.database.read() as session:
            return settings.get(session, name)

    def set_setting(self, name: str, value: Any) -> None:
        """Keep a JSON value under a name of at most 100 characters."""
        with self.database.write() as session:
            settings.put(session, name, value)

    def change_setting(self, name: str, change: Callable[[Any], Any]) -> Any:
        """Replace a value by what ``change`` makes of it (None where there is none), in one go.

        Two callers take turns, so the second sees what the first wrote. None removes the value.
        What ``change`` raises leaves everything as it was. The new value.
        """
        with self.database.write() as session:
            return settings.change(session, name, change)

    # Care --------------------------------------------------------------------------------------

    def check(self, *, audio: bool = False) -> Checkup:
        """Compare rows and audio, and finish what was interrupted. ``audio`` reads every byte.

        Nothing that somebody gave is removed: audio without a row stays where it is.
        """
        return checking.check(self, audio=audio)

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
