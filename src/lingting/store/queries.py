"""Reading: pages of the history, one transcript. Each function runs in one session.

Pages are found by where the last one ended, never by counting rows, so the thousandth costs as much
as the first and nothing is shown twice while others write.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Row, Select, Text, and_, func, or_, select, true
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session

from lingting.errors import RecordingNotFound, RevisionNotFound
from lingting.store.records import (
    JobState,
    Recording,
    RecordingJob,
    Revision,
    SharedWith,
    Sight,
)
from lingting.store.rows import SEGMENT_COLUMNS, segments_of, transcript_of
from lingting.store.schema import (
    BlobRow,
    JobRow,
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
from lingting.transcript import Failure, Segment, Transcript

_SHORTEST_PREFIX = 4
_ID = re.compile("[a-z0-9]+")
_LONGEST_ID = 16
_HOLE = 8
"""So many rows are rather read and left out than asked for apart."""
_RUNS_A_QUERY = 100


def seen_by(sight: Sight | SharedWith | None, rows: Any = RecordingRow) -> ColumnElement[bool]:
    """The where-clause for what somebody sees; ``rows`` is a table with owner and department.

    What is shared with somebody are recordings only.
    """
    return or_(*ways_to_see(sight, rows))


def ways_to_see(
    sight: Sight | SharedWith | None, rows: Any = RecordingRow
) -> list[ColumnElement[bool]]:
    """Each of them is answered from an index of its own."""
    if sight is None:
        return [true()]
    if isinstance(sight, SharedWith):
        share = RecordingShareRow
        ours = select(share.recording_id).where(or_(*named_by(sight)), is_in_force())
        return [and_(RecordingRow.id.in_(ours), is_for(sight))]
    return [
        rows.owner == sight.user,
        *(rows.department == one for one in sorted(sight.departments)),
    ]


def named_by(who: SharedWith) -> list[ColumnElement[bool]]:
    """The where-clauses of shares that are for somebody."""
    share = RecordingShareRow
    ways = [and_(share.to_kind == "user", share.to_name == who.user)]
    if who.is_person:
        ways.append(and_(share.to_kind == "everyone", share.to_name == ""))
        if who.department is not None:
            ways.append(and_(share.to_kind == "department", share.to_name == who.department))
    return ways


def is_for(who: SharedWith) -> ColumnElement[bool]:
    """The where-clause of recordings that a share shows them: not deleted, and of others."""
    row = RecordingRow
    return and_(row.deleted_at.is_(None), row.owner.is_distinct_from(who.user))


def is_in_force() -> ColumnElement[bool]:
    """The where-clause of shares that have not ended by themselves."""
    until = RecordingShareRow.expires_at
    return or_(until.is_(None), until > datetime.now(UTC))


def _recordings() -> Select[RecordingRow, int, RevisionRow | None]:
    """Recordings with their audio's size and current revision, if they have one."""
    return (
        select(RecordingRow, BlobRow.size_bytes, RevisionRow)
        .join(BlobRow, BlobRow.digest == RecordingRow.digest)
        .join(TranscriptRow, TranscriptRow.recording_id == RecordingRow.id)
        .outerjoin(RevisionRow, is_current())
    )


def is_current() -> ColumnElement[bool]:
    """Joins a transcript with its current revision."""
    return and_(
        RevisionRow.transcript_id == TranscriptRow.id,
        RevisionRow.number == TranscriptRow.current_number,
    )


def behind(last: Any, time: Any, id: Any) -> ColumnElement[bool]:
    """The where-clause of a page, the newest first, behind the row or cursor ``last``.

    ``time <= …`` says nothing new; it is what an index is asked with.
    """
    return and_(time <= last.created_at, or_(time < last.created_at, id < last.id))


def recordings_by_id(session: Session, ids: Sequence[str]) -> dict[str, Recording]:
    """Those that are there."""
    rows = session.execute(_recordings().where(RecordingRow.id.in_(ids))).all()
    return {one.id: one for one in _shown(session, rows)}


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
    if not _ID.fullmatch(wanted):
        raise RecordingNotFound("The history holds no recording with this id.")
    # A range, unlike a LIKE, is answered from the index; no id sorts behind its beginning and zzz.
    within = RecordingRow.id.between(wanted, wanted + "z" * _LONGEST_ID)
    found = session.scalars(select(RecordingRow.id).where(within).limit(2)).all()
    if wanted in found:
        return wanted
    if not found:
        raise RecordingNotFound("The history holds no recording with this id.")
    if len(found) > 1:
        raise RecordingNotFound("Several recordings have ids that begin so.", "Give more of it.")
    return found[0]


def last_deleted(session: Session) -> str:
    """The id of what was deleted last. Raises RecordingNotFound."""
    query = select(RecordingRow.id).where(RecordingRow.deleted_at.is_not(None))
    newest = query.order_by(RecordingRow.deleted_at.desc(), RecordingRow.id).limit(1)
    found = session.scalar(newest)
    if found is None:
        raise RecordingNotFound("No recording is deleted.", "There is nothing to undo.")
    return found


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
    speakers = _speakers(session, ids)
    shared = _shared(session, ids)
    newest = _newest_jobs(session, ids)
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
            held_by=one.held_by,
            held_at=one.held_at,
            speakers=speakers.get(one.id, 0),
            is_shared=one.id in shared,
            job=newest.get(one.id),
        )
        for one, size_bytes, revision in rows
    ]


def _speakers(session: Session, ids: Sequence[str]) -> dict[str, int]:
    found = session.execute(
        select(SpeakerRow.recording_id, func.count())
        .where(SpeakerRow.recording_id.in_(ids))
        .group_by(SpeakerRow.recording_id)
    )
    return {row[0]: row[1] for row in found}


def _shared(session: Session, ids: Sequence[str]) -> set[str]:
    share = RecordingShareRow
    found = select(share.recording_id).where(share.recording_id.in_(ids), is_in_force())
    return set(session.scalars(found))


def _newest_jobs(session: Session, ids: Sequence[str]) -> dict[str, RecordingJob]:
    found = session.execute(
        select(
            JobRow.recording_id, JobRow.id, JobRow.state, JobRow.created_at, JobRow.started_at,
            JobRow.finished_at, JobRow.done_s, JobRow.total_s, JobRow.error, JobRow.batch_id,
        ).where(JobRow.recording_id.in_(ids), JobRow.is_newest)
    )  # fmt: skip
    return {
        row.recording_id: RecordingJob(
            id=row.id,
            state=cast(JobState, row.state),
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            done_s=row.done_s,
            total_s=row.total_s,
            error=Failure(**row.error) if row.error else None,
            batch_id=row.batch_id,
        )
        for row in found
    }


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
    """``(position, id, segment)`` in order, behind position ``after``.

    Three plain range scans instead of a join: ids of a revision are few unbroken runs, and looking
    up five thousand rows of two tables one by one takes Postgres longer than everything else.
    """
    link = RevisionSegmentRow
    links = (
        select(link.position, link.segment_id)
        .where(link.revision_id == revision_id, link.position > after)
        .order_by(link.position)
        .limit(limit)
    )
    ask = session.connection().execute
    with _uncollected():
        order = ask(links).all()
        rows: list[Row[Any]] = []
        words: dict[int, str] = {}
        for runs in _batched(_runs(sorted({row[1] for row in order})), _RUNS_A_QUERY):
            rows += ask(select(*_SEGMENT_COLUMNS).where(_within(SegmentRow.id, runs))).all()
            told = select(WordsRow.segment_id, sql_cast(WordsRow.words, Text))
            words.update(ask(told.where(_within(WordsRow.segment_id, runs))).all())
        found = segments_of(rows, words)
        return [(position, id, found[id]) for position, id in order]


def _runs(ids: list[int]) -> list[tuple[int, int]]:
    """First and last of each run of sorted ids; a hole of a few ids breaks none."""
    if ids and ids[-1] - ids[0] < len(ids):
        return [(ids[0], ids[-1])]
    runs: list[tuple[int, int]] = []
    for id in ids:
        if runs and id - runs[-1][1] <= _HOLE:
            runs[-1] = (runs[-1][0], id)
        else:
            runs.append((id, id))
    return runs


def _batched(runs: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    yield from (runs[first : first + size] for first in range(0, len(runs), size))


def _within(column: Any, runs: list[tuple[int, int]]) -> ColumnElement[bool]:
    return or_(*(column.between(first, last) for first, last in runs))


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


def tags(session: Session, *, sight: Sight | None = None) -> list[tuple[str, int]]:
    """Every tag with the number of its recordings, deleted ones left out."""
    query = (
        select(TagRow.tag, func.count())
        .join(RecordingRow, RecordingRow.id == TagRow.recording_id)
        .where(RecordingRow.deleted_at.is_(None), seen_by(sight))
        .group_by(TagRow.tag)
        .order_by(TagRow.tag)
    )
    return [(tag, count) for tag, count in session.execute(query).all()]


_SEGMENT_COLUMNS: Iterable[Any] = (
    SegmentRow.id, *(getattr(SegmentRow, name) for name in SEGMENT_COLUMNS),
    sql_cast(SegmentRow.details, Text),
)  # fmt: skip
"""JSON comes as text: it is parsed at once for all segments, or not at all, see ``rows``."""
