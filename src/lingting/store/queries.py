"""Reading: pages of the history, one transcript, a search. Each function runs in one session.

Pages are found by where the last one ended, never by counting rows, so the thousandth costs as much
as the first and nothing is shown twice while others write.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Row, Select, Text, and_, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from lingting.errors import RecordingNotFound, RevisionNotFound
from lingting.store.records import Cursor, Hit, Recording, Revision
from lingting.store.rows import SEGMENT_COLUMNS, segments_of, transcript_of
from lingting.store.schema import (
    BlobRow,
    RecordingRow,
    RevisionRow,
    RevisionSegmentRow,
    SegmentRow,
    TagRow,
    TranscriptRow,
    WordsRow,
)
from lingting.transcript import Segment, Transcript

_SHORTEST_PREFIX = 4


def _recordings() -> Select[RecordingRow, int, RevisionRow | None]:
    """Recordings with their audio's size and current revision, if they have one."""
    return (
        select(RecordingRow, BlobRow.size_bytes, RevisionRow)
        .join(BlobRow, BlobRow.digest == RecordingRow.digest)
        .join(TranscriptRow, TranscriptRow.recording_id == RecordingRow.id)
        .outerjoin(
            RevisionRow,
            and_(
                RevisionRow.transcript_id == TranscriptRow.id,
                RevisionRow.number == TranscriptRow.current_number,
            ),
        )
    )


def page(
    session: Session, *, after: Cursor | None, limit: int, is_deleted: bool, tag: str | None
) -> list[Recording]:
    """The newest recordings, or those that come behind ``after``."""
    deleted = RecordingRow.deleted_at
    query = _recordings().where(deleted.is_not(None) if is_deleted else deleted.is_(None))
    if tag is not None:
        query = query.join(TagRow, TagRow.recording_id == RecordingRow.id).where(TagRow.tag == tag)
    if after is not None:
        time = RecordingRow.created_at
        query = query.where(
            time <= after.created_at,
            or_(time < after.created_at, RecordingRow.id < after.id),
        )
    query = query.order_by(RecordingRow.created_at.desc(), RecordingRow.id.desc()).limit(limit)
    return _shown(session, session.execute(query).all())


def recording(session: Session, recording_id: str) -> Recording:
    """By its whole id. Raises RecordingNotFound."""
    rows = session.execute(_recordings().where(RecordingRow.id == recording_id)).all()
    if not rows:
        raise RecordingNotFound("The history holds no recording with this id.")
    return _shown(session, rows)[0]


def whole_id(session: Session, given: str) -> str:
    """``given`` is an id or the first characters of just one. Raises RecordingNotFound."""
    wanted = given.strip().lower()
    if len(wanted) < _SHORTEST_PREFIX:
        raise RecordingNotFound(f"An id is given by at least {_SHORTEST_PREFIX} of its characters.")
    query = select(RecordingRow.id).where(RecordingRow.id.startswith(wanted, autoescape=True))
    found = session.scalars(query.limit(2)).all()
    if wanted in found:
        return wanted
    if not found:
        raise RecordingNotFound("The history holds no recording with this id.")
    if len(found) > 1:
        raise RecordingNotFound("Several recordings have ids that begin so.", "Give more of it.")
    return found[0]


def _shown(
    session: Session, rows: Sequence[Row[RecordingRow, int, RevisionRow | None]]
) -> list[Recording]:
    ids = [one.id for one, _, _ in rows]
    tags: dict[str, list[str]] = {}
    for recording_id, tag in session.execute(
        select(TagRow.recording_id, TagRow.tag)
        .where(TagRow.recording_id.in_(ids))
        .order_by(TagRow.tag)
    ):
        tags.setdefault(recording_id, []).append(tag)
    return [
        Recording(
            id=one.id,
            name=one.name,
            digest=one.digest,
            size_bytes=size_bytes,
            duration_s=one.duration_s,
            sample_rate_hz=one.sample_rate_hz,
            channels=one.channels,
            created_at=one.created_at,
            deleted_at=one.deleted_at,
            owner=one.owner,
            department=one.department,
            language=revision.language if revision else None,
            revision=revision.number if revision else 0,
            segments=revision.segment_count if revision else 0,
            excerpt=revision.excerpt if revision else "",
            tags=tuple(tags.get(one.id, ())),
        )
        for one, size_bytes, revision in rows
    ]


def revision_row(session: Session, recording_id: str, number: int | None) -> RevisionRow:
    """The current revision, or the one with that number. Raises RevisionNotFound."""
    query = (
        select(RevisionRow)
        .join(TranscriptRow, TranscriptRow.id == RevisionRow.transcript_id)
        .where(TranscriptRow.recording_id == recording_id)
        .where(RevisionRow.number == (TranscriptRow.current_number if number is None else number))
    )
    found = session.scalars(query).one_or_none()
    if found is None:
        last = session.scalar(
            select(func.max(RevisionRow.number))
            .join(TranscriptRow, TranscriptRow.id == RevisionRow.transcript_id)
            .where(TranscriptRow.recording_id == recording_id)
        )
        if last is None:
            if session.get(RecordingRow, recording_id) is None:
                raise RecordingNotFound("The history holds no recording with this id.")
            raise RevisionNotFound("The recording has no transcript yet.", "Wait for its job.")
        raise RevisionNotFound(f"The transcript has revisions 1 to {last}.")
    return found


def revisions(session: Session, recording_id: str) -> list[Revision]:
    """All of them, the oldest first."""
    rows = session.execute(
        select(RevisionRow, TranscriptRow.current_number)
        .join(TranscriptRow, TranscriptRow.id == RevisionRow.transcript_id)
        .where(TranscriptRow.recording_id == recording_id)
        .order_by(RevisionRow.number)
    ).all()
    return [
        Revision(
            number=row.number,
            origin="human" if row.origin == "human" else "machine",
            author=row.author,
            created_at=row.created_at,
            restored_from=row.restored_from,
            segments=row.segment_count,
            model=(row.facts.get("model") or {}).get("id"),
            is_current=row.number == current,
        )
        for row, current in rows
    ]


def segments(
    session: Session, revision_id: int, *, after: int = -1, limit: int | None = None
) -> list[tuple[int, int, Segment]]:
    """``(position, id, segment)`` in order, behind position ``after``."""
    query = (
        select(
            RevisionSegmentRow.position, SegmentRow.id, *_SEGMENT_COLUMNS, cast(WordsRow.words, Text)
        )
        .join(SegmentRow, SegmentRow.id == RevisionSegmentRow.segment_id)
        .outerjoin(WordsRow, WordsRow.segment_id == SegmentRow.id)
        .where(RevisionSegmentRow.revision_id == revision_id, RevisionSegmentRow.position > after)
        .order_by(RevisionSegmentRow.position)
        .limit(limit)
    )  # fmt: skip
    with _uncollected():
        rows = session.connection().execute(query).all()
        read = segments_of([row[2:] for row in rows])
        return [(row[0], row[1], segment) for row, segment in zip(rows, read, strict=True)]


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage while a transcript is made: none of it is, and Python would walk over
    everything else in the process meanwhile, which takes as long as the reading itself.
    """
    was_enabled = gc.isenabled()  # another thread in here leaves it as it found it, too
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def transcript(session: Session, revision: RevisionRow) -> Transcript:
    """The whole of a revision."""
    found = segments(session, revision.id)
    return transcript_of(revision.facts, (one for _, _, one in found))


def search(session: Session, text: str, *, limit: int, after: tuple[int, int] | None) -> list[Hit]:
    """Segments of current transcripts that hold ``text``, the newest first.

    ``after`` is ``(segment_id, position)`` of the last hit of the page before. It reads every
    segment until the page is full: fine for thousands of recordings on one machine.
    """
    query = (
        select(
            RecordingRow.id.label("recording_id"), RecordingRow.name,
            RevisionSegmentRow.position, SegmentRow.id, *_SEGMENT_COLUMNS, literal(None),
        )
        .join(RevisionSegmentRow, RevisionSegmentRow.segment_id == SegmentRow.id)
        .join(RevisionRow, RevisionRow.id == RevisionSegmentRow.revision_id)
        .join(
            TranscriptRow,
            and_(
                TranscriptRow.id == RevisionRow.transcript_id,
                TranscriptRow.current_number == RevisionRow.number,
            ),
        )
        .join(RecordingRow, RecordingRow.id == TranscriptRow.recording_id)
        .where(RecordingRow.deleted_at.is_(None), SegmentRow.text.icontains(text, autoescape=True))
        .order_by(SegmentRow.id.desc(), RevisionSegmentRow.position)
        .limit(limit)
    )  # fmt: skip
    if after is not None:
        segment_id, position = after
        query = query.where(
            SegmentRow.id <= segment_id,
            or_(SegmentRow.id < segment_id, RevisionSegmentRow.position > position),
        )
    rows = session.execute(query).all()
    found = segments_of([row[4:] for row in rows])
    return [
        Hit(row.recording_id, row.name, row.position, segment, row.id)
        for row, segment in zip(rows, found, strict=True)
    ]


def tags(session: Session) -> list[tuple[str, int]]:
    """Every tag with the number of its recordings, deleted ones left out."""
    query = (
        select(TagRow.tag, func.count())
        .join(RecordingRow, RecordingRow.id == TagRow.recording_id)
        .where(RecordingRow.deleted_at.is_(None))
        .group_by(TagRow.tag)
        .order_by(TagRow.tag)
    )
    return [(tag, count) for tag, count in session.execute(query).all()]


_SEGMENT_COLUMNS: Iterable[Any] = (
    *(getattr(SegmentRow, name) for name in SEGMENT_COLUMNS), cast(SegmentRow.details, Text),
)  # fmt: skip
"""JSON comes as text: it is parsed at once for all segments, or not at all, see ``rows``."""
