"""Writing: revisions are added, never changed. Each function runs in one transaction."""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Select, delete, func, insert, literal, select, text
from sqlalchemy.orm import Session

from lingting.errors import RecordingNotFound, RevisionConflict
from lingting.store import indexing, queries
from lingting.store.records import Blob, Origin, Receipt
from lingting.store.rows import (
    excerpt_of,
    facts_of,
    segment_values,
    storable,
    storable_segment,
)
from lingting.store.schema import (
    BlobRow,
    JobGroupRow,
    JobRow,
    ReceiptRow,
    RecordingRow,
    RevisionRow,
    RevisionSegmentRow,
    SegmentRow,
    TagRow,
    TranscriptRow,
    WordsRow,
)
from lingting.store.words import words_json
from lingting.transcript import Segment, Transcript

_ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without l, o, 0 and 1, which people confuse."""
_ID_CHARS = 12
_BATCH = 2_000


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """60 random bits: ids tell neither how many recordings there are nor in which order."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_CHARS))


def storable_transcript(transcript: Transcript) -> Transcript:
    """The transcript that will be read back, see ``rows``."""
    return replace(transcript, segments=tuple(map(storable_segment, transcript.segments)))


def note_blob(session: Session, blob: Blob, peaks: bytes | None) -> None:
    """A row for the audio, if it has none; its peaks, if they are news."""
    row = session.get(BlobRow, blob.digest)
    if row is None:
        row = BlobRow(digest=blob.digest, size_bytes=blob.size_bytes, created_at=now())
        session.add(row)
    if row.peaks is None and peaks is not None:
        row.peaks = peaks
    session.flush()


def same_recording(session: Session, digest: str, name: str, owner: str | None) -> str | None:
    """A recording of the same audio under the same name; deleted ones do not count."""
    query = select(RecordingRow.id).where(
        RecordingRow.digest == digest,
        RecordingRow.name == name,
        RecordingRow.owner.is_not_distinct_from(owner),
        RecordingRow.deleted_at.is_(None),
    )
    return session.scalars(query.order_by(RecordingRow.created_at).limit(1)).first()


def add_recording(
    session: Session,
    digest: str,
    name: str,
    transcript: Transcript | None,
    *,
    owner: str | None,
    department: str | None,
) -> str:
    """A recording without revisions; its id. ``transcript`` tells what its audio is like."""
    row = RecordingRow(
        id=new_id(),
        digest=digest,
        name=name,
        duration_s=transcript.duration_s if transcript else None,
        sample_rate_hz=transcript.sample_rate_hz if transcript else None,
        channels=transcript.channels if transcript else None,
        created_at=now(),
        owner=owner,
        department=department,
    )
    session.add(row)
    session.flush()
    session.add(TranscriptRow(recording_id=row.id, current_number=0))
    session.flush()
    return row.id


def locked_transcript(session: Session, recording_id: str) -> TranscriptRow:
    """The row that all changes of one recording wait for. Raises RecordingNotFound."""
    query = select(TranscriptRow).where(TranscriptRow.recording_id == recording_id)
    row = session.scalars(query.with_for_update()).one_or_none()
    if row is None:
        raise RecordingNotFound("The recording was purged a moment ago.")
    return row


def note_audio(session: Session, recording_id: str, transcript: Transcript) -> None:
    """What reading the audio told about it; a recording that was just given does not know."""
    row = session.get_one(RecordingRow, recording_id)
    row.duration_s = transcript.duration_s
    row.sample_rate_hz = transcript.sample_rate_hz
    row.channels = transcript.channels


def last_machine_revision(session: Session, recording_id: str) -> int | None:
    """The number of what a recogniser wrote last."""
    return session.scalar(
        select(func.max(RevisionRow.number))
        .join(TranscriptRow, TranscriptRow.id == RevisionRow.transcript_id)
        .where(TranscriptRow.recording_id == recording_id, RevisionRow.origin == "machine")
    )


def add_machine_revision(session: Session, recording_id: str, transcript: Transcript) -> bool:
    """Add what a recogniser wrote; False when its last revision says the same.

    People's work is never hidden: where the current revision is a person's, it stays current.
    """
    row = locked_transcript(session, recording_id)
    last = session.scalars(
        select(RevisionRow)
        .where(RevisionRow.transcript_id == row.id, RevisionRow.origin == "machine")
        .order_by(RevisionRow.number.desc())
        .limit(1)
    ).one_or_none()
    if last is not None and queries.transcript(session, last) == transcript:
        return False
    is_human = row.current_number > 0 and (
        queries.revision_row(session, recording_id, None).origin == "human"
    )
    number = add_revision(session, row, transcript, origin="machine", author=None)
    if not is_human:
        row.current_number = number
        indexing.follow(session, row.id)
    return True


def add_human_revision(
    session: Session,
    recording_id: str,
    transcript: Transcript,
    *,
    author: str | None,
    based_on: int,
) -> int:
    """A person's correction; its number. Raises RevisionConflict when others were quicker."""
    row = locked_transcript(session, recording_id)
    if row.current_number != based_on:
        raise RevisionConflict(
            f"The change was made on revision {based_on}; revision {row.current_number} is current."
        )
    number = add_revision(session, row, transcript, origin="human", author=author)
    row.current_number = number
    indexing.follow(session, row.id)
    return number


def add_revision(
    session: Session,
    row: TranscriptRow,
    transcript: Transcript,
    *,
    origin: Origin,
    author: str | None,
) -> int:
    """A new revision, not yet current. Segments that have not changed are shared."""
    number, last_id = _next_number(session, row.id)
    known: defaultdict[Segment, list[int]] = defaultdict(list)
    if last_id is not None:
        for _, segment_id, segment in reversed(queries.segments(session, last_id)):
            known[segment].append(segment_id)
    ids = [known[one].pop() if known.get(one) else None for one in transcript.segments]
    fresh = [one for one, found in zip(transcript.segments, ids, strict=True) if found is None]
    made = iter(_insert_segments(session, row.id, fresh))
    revision = RevisionRow(
        transcript_id=row.id,
        number=number,
        origin=origin,
        author=None if author is None else storable(author),
        created_at=now(),
        language=transcript.language,
        segment_count=len(transcript.segments),
        excerpt=excerpt_of(transcript),
        facts=facts_of(transcript),
    )
    session.add(revision)
    session.flush()
    links = [
        {
            "revision_id": revision.id,
            "position": position,
            "segment_id": next(made) if found is None else found,
        }
        for position, found in enumerate(ids)
    ]
    if links:
        session.execute(insert(RevisionSegmentRow), links)
    return number


def restore_revision(
    session: Session, recording_id: str, number: int, *, author: str | None
) -> int:
    """An earlier state as a new, current revision; its number. Nothing in between is lost."""
    row = locked_transcript(session, recording_id)
    source = queries.revision_row(session, recording_id, number)
    new_number, _ = _next_number(session, row.id)
    revision = RevisionRow(
        transcript_id=row.id,
        number=new_number,
        origin="human",
        author=None if author is None else storable(author),
        created_at=now(),
        restored_from=number,
        language=source.language,
        segment_count=source.segment_count,
        excerpt=source.excerpt,
        facts=source.facts,
    )
    session.add(revision)
    session.flush()
    links = select(
        literal(revision.id), RevisionSegmentRow.position, RevisionSegmentRow.segment_id
    ).where(RevisionSegmentRow.revision_id == source.id)
    session.execute(
        insert(RevisionSegmentRow).from_select(["revision_id", "position", "segment_id"], links)
    )
    row.current_number = new_number
    indexing.follow(session, row.id)
    return new_number


def remove_recording(session: Session, recording_id: str, author: str | None) -> Receipt:
    """Take away all rows of a recording; the audio is still to go, see ``Receipt.audio``."""
    transcript_id = locked_transcript(session, recording_id).id
    row = session.get_one(RecordingRow, recording_id)
    of_transcript = select(RevisionRow.id).where(RevisionRow.transcript_id == transcript_id)
    segments = select(SegmentRow.id).where(SegmentRow.transcript_id == transcript_id)
    jobs = select(JobRow.id).where(JobRow.recording_id == recording_id)
    session.execute(jobs.with_for_update())  # no worker adds a group behind our back
    receipt = ReceiptRow(
        recording_id=recording_id,
        digest=row.digest,
        purged_at=now(),
        author=None if author is None else storable(author),
        revisions=_count(session, of_transcript),
        segments=_count(session, segments),
        audio="pending",
    )
    session.add(receipt)
    indexing.forget(session, transcript_id)
    for statement in (
        delete(RevisionSegmentRow).where(RevisionSegmentRow.revision_id.in_(of_transcript)),
        delete(WordsRow).where(WordsRow.segment_id.in_(segments)),
        delete(RevisionRow).where(RevisionRow.transcript_id == transcript_id),
        delete(SegmentRow).where(SegmentRow.transcript_id == transcript_id),
        delete(TranscriptRow).where(TranscriptRow.id == transcript_id),
        delete(TagRow).where(TagRow.recording_id == recording_id),
        delete(JobGroupRow).where(JobGroupRow.job_id.in_(jobs)),
        delete(JobRow).where(JobRow.recording_id == recording_id),
        delete(RecordingRow).where(RecordingRow.id == recording_id),
    ):
        session.execute(statement, execution_options={"synchronize_session": False})
    session.flush()
    return receipt_of(receipt)


def receipt_of(row: ReceiptRow) -> Receipt:
    return Receipt(
        id=row.id,
        recording_id=row.recording_id,
        digest=row.digest,
        purged_at=row.purged_at,
        author=row.author,
        revisions=row.revisions,
        segments=row.segments,
        audio=_AUDIO[row.audio],
    )


def _next_number(session: Session, transcript_id: int) -> tuple[int, int | None]:
    """The number of the next revision, and the id of the last one."""
    last = session.scalars(
        select(RevisionRow)
        .where(RevisionRow.transcript_id == transcript_id)
        .order_by(RevisionRow.number.desc())
        .limit(1)
    ).one_or_none()
    return (1, None) if last is None else (last.number + 1, last.id)


def _insert_segments(session: Session, transcript_id: int, fresh: list[Segment]) -> list[int]:
    """Rows for segments and their words; the ids in the same order."""
    ids = _new_segment_ids(session, len(fresh))
    for first in range(0, len(fresh), _BATCH):
        batch = list(zip(ids[first:], fresh[first : first + _BATCH], strict=False))
        rows = [{"id": id, **segment_values(one, transcript_id)} for id, one in batch]
        session.execute(insert(SegmentRow), rows)
        words = [{"segment_id": id, "words": words_json(one)} for id, one in batch if one.words]
        if words:
            session.execute(insert(WordsRow), words)
    return ids


def _new_segment_ids(session: Session, count: int) -> list[int]:
    """Ids nobody else gets, taken at once: asking for each row's id takes several times as long."""
    if not count:
        return []
    if session.get_bind().dialect.name == "sqlite":  # we are its one writer
        last = session.scalar(select(func.max(SegmentRow.id))) or 0
        return list(range(last + 1, last + 1 + count))
    numbers = text(
        "select nextval(pg_get_serial_sequence('segments', 'id')) from generate_series(1, :count)"
    )
    return list(session.scalars(numbers, {"count": count}))


def _count(session: Session, ids: Select[int]) -> int:
    return session.scalar(select(func.count()).select_from(ids.subquery())) or 0


_AUDIO: dict[str, Literal["pending", "removed", "shared"]] = {
    "pending": "pending",
    "removed": "removed",
    "shared": "shared",
}
