"""Writing: revisions are added, never changed. Each function runs in one transaction.

On Postgres several write at once. Who changes a recording locks in one order, so that of two one
waits and neither has what the other needs: its audio (``lock_blob``), its transcript's row, its
jobs by their ids, everything else.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import Select, delete, func, insert, literal, select, text, update
from sqlalchemy.orm import Session

from lingting.errors import OptionInvalid, RecordingHeld, RecordingNotFound, RevisionConflict
from lingting.store import indexing, outbox, queries, summaries
from lingting.store.database import lock
from lingting.store.records import MAX_NAME_CHARS, AudioState, Blob, Origin, Receipt
from lingting.store.rows import (
    EXCERPT_SEGMENTS,
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
    NoteRow,
    ReceiptRow,
    RecordingRow,
    RecordingShareRow,
    RevisionRow,
    RevisionSegmentRow,
    SegmentRow,
    SpeakerRow,
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
_MAX_TAG_CHARS = 100
MAX_TAGS = 100
"""Of one recording: each page of the history tells them all."""
_ONE_BY_ONE = 50
"""So many segments are rather asked for apart than read with all others."""
SegmentChange = Callable[[Segment], Segment]
"""What becomes of one segment."""


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """60 random bits: ids tell neither how many recordings there are nor in which order."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_CHARS))


def storable_transcript(transcript: Transcript) -> Transcript:
    """The transcript that will be read back, see ``rows``."""
    return replace(transcript, segments=tuple(map(storable_segment, transcript.segments)))


def lock_blob(session: Session, digest: str) -> None:
    """Keeping and purging the same audio take turns."""
    lock(session, f"blob:{digest}")


def note_blob(session: Session, blob: Blob) -> None:
    """A row for the audio, if it has none."""
    if session.get(BlobRow, blob.digest) is None:
        session.add(BlobRow(digest=blob.digest, size_bytes=blob.size_bytes, created_at=now()))
        session.flush()


def note_peaks(session: Session, digest: str, peaks: bytes) -> None:
    """What a player draws, if that is news."""
    session.execute(
        update(BlobRow)
        .where(BlobRow.digest == digest, BlobRow.peaks.is_(None))
        .values(peaks=peaks),
        execution_options={"synchronize_session": False},
    )


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
    session: Session, digest: str, name: str, *, owner: str | None, department: str | None
) -> str:
    """A recording without revisions, of whose audio nothing is known; its id."""
    row = RecordingRow(
        id=new_id(), digest=digest, name=name, created_at=now(), owner=owner, department=department
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


def locked_recording(session: Session, given: str) -> RecordingRow:
    """By its id or its first characters; nobody else changes it until the transaction ends."""
    recording_id = queries.whole_id(session, given)
    locked_transcript(session, recording_id)
    return session.get_one(RecordingRow, recording_id)


def refuse_held(row: RecordingRow) -> None:
    if row.held_at is not None:
        raise RecordingHeld("The recording is on legal hold.")


def parse_tag(given: str) -> str:
    """The tag as it is kept. Raises OptionInvalid."""
    tag = " ".join(storable(given).split())
    if not 0 < len(tag) <= _MAX_TAG_CHARS:
        raise OptionInvalid(f"A tag has 1 to {_MAX_TAG_CHARS} characters; this one has {len(tag)}.")
    return tag


def parse_name(given: str) -> str:
    """The name of a recording as a person gives it: one line. Raises OptionInvalid."""
    name = " ".join(storable(given).split())
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise OptionInvalid(
            f"A name has 1 to {MAX_NAME_CHARS} characters; this one has {len(name)}."
        )
    return name


def change_tags(session: Session, row: RecordingRow, add: set[str], remove: set[str]) -> None:
    """Raises OptionInvalid for too many."""
    ours = TagRow.recording_id == row.id
    session.execute(delete(TagRow).where(ours, TagRow.tag.in_(remove)))
    there = set(session.scalars(select(TagRow.tag).where(ours)))
    fresh = add - there
    if fresh and len(there) + len(fresh) > MAX_TAGS:
        raise OptionInvalid(f"A recording has at most {MAX_TAGS} tags.", "Remove some first.")
    session.add_all(
        TagRow(recording_id=row.id, tag=one, created_at=row.created_at) for one in fresh
    )
    session.flush()


def add_machine_revision(
    session: Session, recording_id: str, transcript: Transcript
) -> tuple[int, bool]:
    """Add what a recogniser wrote and read about the audio; its number.

    False when the last revision of a recogniser says the same: then that one's number. People's
    work is never hidden: where the current revision is a person's, it stays current.
    """
    row = locked_transcript(session, recording_id)
    _note_audio(session, recording_id, transcript)
    last = session.scalars(
        select(RevisionRow)
        .where(RevisionRow.transcript_id == row.id, RevisionRow.origin == "machine")
        .order_by(RevisionRow.number.desc())
        .limit(1)
    ).one_or_none()
    if last is not None and queries.transcript(session, last) == transcript:
        return last.number, False
    is_human = row.current_number > 0 and (
        queries.revision_row(session, recording_id, None).origin == "human"
    )
    number = add_revision(session, row, transcript, origin="machine", author=None)
    if not is_human:
        make_current(session, row, number)
    return number, True


def make_current(session: Session, row: TranscriptRow, number: int) -> None:
    """The revision that people see from now on: searched, and summed up on the recording."""
    row.current_number = number
    indexing.follow(session, row.id)
    summaries.follow(session, row)


def _note_audio(session: Session, recording_id: str, transcript: Transcript) -> None:
    row = session.get_one(RecordingRow, recording_id)
    row.duration_s = transcript.duration_s
    row.sample_rate_hz = transcript.sample_rate_hz
    row.channels = transcript.channels


def add_human_revision(
    session: Session,
    recording_id: str,
    transcript: Transcript,
    *,
    author: str | None,
    based_on: int,
) -> int:
    """A person's correction; its number. Raises RevisionConflict when others were quicker."""
    row = _locked_current(session, recording_id, based_on)
    number = add_revision(session, row, transcript, origin="human", author=author)
    make_current(session, row, number)
    return number


def change_segments(
    session: Session,
    recording_id: str,
    changes: Mapping[int, SegmentChange],
    *,
    author: str | None,
    based_on: int,
) -> int:
    """The same of some segments by their positions; costs what these cost, however many others.

    Raises RevisionConflict, and OptionInvalid for a position that is not there.
    """
    row = _locked_current(session, recording_id, based_on)
    source = queries.revision_row(session, recording_id, based_on)
    if (last := max(changes)) >= source.segment_count:
        raise OptionInvalid(
            f"position is {last}; the transcript has {source.segment_count} segments."
        )
    before = dict(_segments_at(session, source.id, changes))
    wanted = {at: storable_segment(change(before[at])) for at, change in changes.items()}
    after = {at: one for at, one in wanted.items() if one != before[at]}
    number, _ = _next_number(session, row.id)
    revision = _made_from(session, source, number, author)
    link = RevisionSegmentRow
    others = select(literal(revision.id), link.position, link.segment_id).where(
        link.revision_id == source.id, link.position.not_in(after)
    )
    columns = ["revision_id", "position", "segment_id"]
    session.execute(insert(link).from_select(columns, others))
    if after:
        ids = _insert_segments(session, row.id, list(after.values()))
        links = [(revision.id, at, id) for at, id in zip(after, ids, strict=True)]
        session.execute(insert(link), [dict(zip(columns, one, strict=True)) for one in links])
    first = queries.segments(session, revision.id, limit=EXCERPT_SEGMENTS)
    revision.excerpt = excerpt_of(Transcript(tuple(one for _, _, one in first), 0.0))
    make_current(session, row, number)
    return number


def _segments_at(
    session: Session, revision_id: int, positions: Collection[int]
) -> Iterator[tuple[int, Segment]]:
    if len(positions) > _ONE_BY_ONE:
        whole = queries.segments(session, revision_id)
        yield from ((at, one) for at, _, one in whole if at in positions)
        return
    for position in positions:
        ((at, _, one),) = queries.segments(session, revision_id, after=position - 1, limit=1)
        yield at, one


def _locked_current(session: Session, recording_id: str, based_on: int) -> TranscriptRow:
    """Raises RevisionConflict when another revision is current."""
    row = locked_transcript(session, recording_id)
    if row.current_number != based_on:
        raise RevisionConflict(
            f"The change was made on revision {based_on}; revision {row.current_number} is current."
        )
    return row


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


def _made_from(
    session: Session,
    source: RevisionRow,
    number: int,
    author: str | None,
    *,
    restored_from: int | None = None,
) -> RevisionRow:
    """Somebody's revision that says of itself what ``source`` says; it has no segments yet."""
    revision = RevisionRow(
        transcript_id=source.transcript_id,
        number=number,
        origin="human",
        author=None if author is None else storable(author),
        created_at=now(),
        restored_from=restored_from,
        language=source.language,
        segment_count=source.segment_count,
        excerpt=source.excerpt,
        facts=source.facts,
    )
    session.add(revision)
    session.flush()
    return revision


def restore_revision(
    session: Session, recording_id: str, number: int, *, author: str | None
) -> int:
    """An earlier state as a new, current revision; its number. Nothing in between is lost."""
    row = locked_transcript(session, recording_id)
    source = queries.revision_row(session, recording_id, number)
    new_number, _ = _next_number(session, row.id)
    revision = _made_from(session, source, new_number, author, restored_from=number)
    links = select(
        literal(revision.id), RevisionSegmentRow.position, RevisionSegmentRow.segment_id
    ).where(RevisionSegmentRow.revision_id == source.id)
    session.execute(
        insert(RevisionSegmentRow).from_select(["revision_id", "position", "segment_id"], links)
    )
    make_current(session, row, new_number)
    return new_number


def remove_recordings(
    session: Session, recording_ids: Collection[str], author: str | None
) -> list[Receipt]:
    """Take away all rows of recordings that are locked; the audio is still to go."""
    jobs = select(JobRow.id).where(JobRow.recording_id.in_(recording_ids))
    session.execute(jobs.order_by(JobRow.id).with_for_update())  # no worker adds a group meanwhile
    return [_remove_recording(session, one, author) for one in recording_ids]


def _remove_recording(session: Session, recording_id: str, author: str | None) -> Receipt:
    transcript_id = locked_transcript(session, recording_id).id
    row = session.get_one(RecordingRow, recording_id)
    of_transcript = select(RevisionRow.id).where(RevisionRow.transcript_id == transcript_id)
    segments = select(SegmentRow.id).where(SegmentRow.transcript_id == transcript_id)
    jobs = select(JobRow.id).where(JobRow.recording_id == recording_id)
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
    outbox.of_recording(session, "recording.purged", row)
    for statement in (
        delete(RevisionSegmentRow).where(RevisionSegmentRow.revision_id.in_(of_transcript)),
        delete(WordsRow).where(WordsRow.segment_id.in_(segments)),
        delete(RevisionRow).where(RevisionRow.transcript_id == transcript_id),
        delete(SegmentRow).where(SegmentRow.transcript_id == transcript_id),
        delete(TranscriptRow).where(TranscriptRow.id == transcript_id),
        delete(TagRow).where(TagRow.recording_id == recording_id),
        delete(SpeakerRow).where(SpeakerRow.recording_id == recording_id),
        delete(RecordingShareRow).where(RecordingShareRow.recording_id == recording_id),
        delete(NoteRow).where(NoteRow.recording_id == recording_id),
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
        audio=cast(AudioState, row.audio),
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
