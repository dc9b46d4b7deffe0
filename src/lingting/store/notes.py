"""Notes: what people write about a recording, about a moment of it or a stretch.

They are a part of the recording: seen with it, kept while it is deleted, removed with it by a
purge. They are about its audio, so another transcript changes none of them. A note keeps its latest
text only; while a legal hold is on the recording, notes can be added to it, and those that are
there stay as they are.
"""

from __future__ import annotations

import math

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from lingting.errors import NoteNotFound, NotesTooMany, OptionInvalid, RevisionConflict
from lingting.store import audit, changes, queries
from lingting.store.database import Database
from lingting.store.records import Actor, Note, NotePlace
from lingting.store.rows import storable
from lingting.store.schema import NoteRow

MAX_NOTES = 1_000
"""Of one recording."""
MAX_TEXT_CHARS = 10_000
_BEYOND_S = 1.0
"""Players count the end of a recording a little differently than we do."""
_WHOLE_S = -1.0
"""Where notes about the whole recording stand: before the first moment."""


class Notes:
    """The notes of a store. May be used by many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(
        self, recording_id: str, *, limit: int | None = None, after: NotePlace | None = None
    ) -> list[Note]:
        """A page in order of time, those about the whole recording first; None: all of them.

        Go on with ``after=place_of(page[-1])``. Raises RecordingNotFound.
        """
        time_s = func.coalesce(NoteRow.at_s, _WHOLE_S)
        with self._database.read() as session:
            whole = queries.whole_id(session, recording_id)
            query = select(NoteRow).where(NoteRow.recording_id == whole)
            if after is not None:
                after_s = _WHOLE_S if after.at_s is None else after.at_s
                same_moment = and_(NoteRow.created_at == after.created_at, NoteRow.id > after.id)
                later = or_(NoteRow.created_at > after.created_at, same_moment)
                query = query.where(or_(time_s > after_s, and_(time_s == after_s, later)))
            query = query.order_by(time_s, NoteRow.created_at, NoteRow.id).limit(limit)
            return [_note(row) for row in session.scalars(query)]

    def get(self, recording_id: str, note_id: str) -> Note:
        """Raises RecordingNotFound, NoteNotFound."""
        with self._database.read() as session:
            return _note(_row(session, queries.whole_id(session, recording_id), note_id))

    def add(
        self,
        recording_id: str,
        text: str,
        *,
        at_s: float | None = None,
        end_s: float | None = None,
        author: str | None = None,
        actor: Actor | None = None,
    ) -> Note:
        """A note about ``at_s``, or from there to ``end_s``; None: about the whole recording.

        Raises OptionInvalid for a text or a time that cannot be, NotesTooMany. Here and below,
        ``actor`` is who does it, for the audit trail; None: whoever runs this program.
        """
        text = parse_text(text)
        with self._database.write() as session:
            recording = changes.locked_recording(session, recording_id)
            check_times(at_s, end_s, recording.duration_s)
            _check_room(session, recording.id)
            now = changes.now()
            row = NoteRow(
                id=changes.new_id(), recording_id=recording.id, at_s=at_s, end_s=end_s, text=text,
                author=None if author is None else storable(author), revision=1,
                created_at=now, changed_at=now,
            )  # fmt: skip
            session.add(row)
            session.flush()
            _tell(session, actor, "note.added", row)
            return _note(row)

    def change(
        self,
        recording_id: str,
        note_id: str,
        text: str,
        *,
        at_s: float | None,
        end_s: float | None,
        based_on: int,
        actor: Actor | None = None,
    ) -> Note:
        """Another text and place for revision ``based_on`` of a note.

        Raises NoteNotFound, RevisionConflict when somebody was quicker, RecordingHeld, and
        OptionInvalid as ``add`` does.
        """
        text = parse_text(text)
        with self._database.write() as session:
            recording = changes.locked_recording(session, recording_id)
            row = _row(session, recording.id, note_id)
            changes.refuse_held(recording)
            if row.revision != based_on:
                raise RevisionConflict(
                    f"The change was made on revision {based_on} of the note; revision"
                    f" {row.revision} is current.",
                    "Read the note again and make the change there.",
                )
            check_times(at_s, end_s, recording.duration_s)
            row.text, row.at_s, row.end_s = text, at_s, end_s
            row.revision += 1
            row.changed_at = changes.now()
            session.flush()
            _tell(session, actor, "note.changed", row)
            return _note(row)

    def remove(self, recording_id: str, note_id: str, *, actor: Actor | None = None) -> Note:
        """For good; it is returned once more. Raises NoteNotFound, RecordingHeld."""
        with self._database.write() as session:
            recording = changes.locked_recording(session, recording_id)
            row = _row(session, recording.id, note_id)
            changes.refuse_held(recording)
            found = _note(row)
            session.delete(row)
            session.flush()
            _tell(session, actor, "note.removed", row)
            return found


def place_of(note: Note) -> NotePlace:
    """Where the next page begins."""
    return NotePlace(note.at_s, note.created_at, note.id)


def parse_text(given: str) -> str:
    """The text as it is kept, without space around it. Raises OptionInvalid."""
    text = storable(given).strip()
    if not 0 < len(text) <= MAX_TEXT_CHARS:
        raise OptionInvalid(
            f"A note has 1 to {MAX_TEXT_CHARS} characters; this one has {len(text)}."
        )
    return text


def check_times(at_s: float | None, end_s: float | None, duration_s: float | None) -> None:
    """Raises OptionInvalid for what is no place of a recording that is so long; None: unknown."""
    if at_s is None:
        if end_s is not None:
            raise OptionInvalid("A note with an end has a beginning too.", "Give both, or neither.")
        return
    if not (math.isfinite(at_s) and at_s >= 0):
        raise OptionInvalid("A note's time is a number of seconds, 0 or more.")
    if end_s is not None and not (math.isfinite(end_s) and end_s > at_s):
        raise OptionInvalid("A note ends after it begins.")
    last_s = at_s if end_s is None else end_s
    if duration_s is not None and last_s > duration_s + _BEYOND_S:
        raise OptionInvalid(
            f"The note is about {last_s:.3f} s; the recording has {duration_s:.3f} s."
        )


def _row(session: Session, recording_id: str, note_id: str) -> NoteRow:
    row = session.get(NoteRow, storable(note_id))
    if row is None or row.recording_id != recording_id:
        raise NoteNotFound("The recording has no note with this id.")
    return row


def _check_room(session: Session, recording_id: str) -> None:
    others = select(func.count()).where(NoteRow.recording_id == recording_id)
    if (session.scalar(others) or 0) >= MAX_NOTES:
        raise NotesTooMany(f"The recording has {MAX_NOTES} notes, which is the most.")


def _tell(session: Session, actor: Actor | None, action: str, row: NoteRow) -> None:
    """Ids only: the trail outlives a purge, and what a note said does not."""
    audit.note(session, actor, action, "recording", row.recording_id, note=row.id)


def _note(row: NoteRow) -> Note:
    return Note(
        id=row.id, recording_id=row.recording_id, at_s=row.at_s, end_s=row.end_s, text=row.text,
        author=row.author, revision=row.revision, created_at=row.created_at,
        changed_at=row.changed_at,
    )  # fmt: skip
