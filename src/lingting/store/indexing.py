"""The index of the search, kept in the transactions that change what it speaks of.

``search_entries`` has a row for each segment of a current revision; ``search_index`` its terms: an
FTS5 table without content on SQLite, ``tsvector`` with a GIN index on Postgres. What the terms are
is in ``lingting.search``.

An entry's id says which transcript it belongs to and sorts as people read: the newest recording
first, its segments in the order in which they came, when ids fall. So the index itself gives pages,
and all of a recording is one range of ids. Deleted recordings stay in the index, so that deleting
and its undo cost nothing; each question leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.orm import Session

from lingting import search
from lingting.store.queries import is_current
from lingting.store.schema import (
    RevisionRow,
    RevisionSegmentRow,
    SearchEntryRow,
    SegmentRow,
    SettingRow,
    TranscriptRow,
)

BITS = 24
"""Of an entry's id: which of the transcript's. 16 million corrections of one recording."""
_LAST = (1 << BITS) - 1
_BATCH = 2_000
_FILL_SEGMENTS = 5_000
_STALE = "search.stale"
"""A setting that is there while the index lacks something."""
_INSERT_SQLITE = "insert into search_index (rowid, terms) values (?, ?)"
_DELETE_SQLITE = "insert into search_index (search_index, rowid, terms) values ('delete', ?, ?)"
_INSERT_POSTGRES = text(
    "insert into search_index (id, terms) values (:id, array_to_tsvector(:terms))"
)


class _Row(NamedTuple):
    """What the terms of a segment are made from."""

    segment_id: int
    text: str
    language: str | None
    speaker: str | None
    details: Any = None


def span_of(transcript_id: int) -> tuple[int, int]:
    """The first and the last id that an entry of the transcript may have."""
    return transcript_id << BITS, (transcript_id << BITS) | _LAST


def follow(session: Session, transcript_id: int) -> None:
    """Make the index that of the transcript's current revision."""
    session.flush()
    current = list(session.scalars(_current_segments().where(TranscriptRow.id == transcript_id)))
    there = _entries(session, *span_of(transcript_id))
    wanted = set(current)
    gone = {segment_id: id for segment_id, id in there.items() if segment_id not in wanted}
    _remove(session, gone)
    fresh = [one for one in current if one not in there]
    low = min(there.values(), default=span_of(transcript_id)[1] + 1)
    _add(session, zip(range(low - 1, low - 1 - len(fresh), -1), _rows(session, fresh), strict=True))


def forget(session: Session, transcript_id: int) -> None:
    """Take a transcript out of the index, before its segments go."""
    _remove(session, _entries(session, *span_of(transcript_id)))


def fill(session: Session, *, after: int = 0) -> int | None:
    """Index what is missing of some transcripts behind the id ``after``; the last one's id.

    None when there is none behind it. Memory is that of a few thousand segments, or of the one
    transcript that has more.
    """
    ids: list[int] = []
    segments = 0
    for id, count in session.execute(
        select(TranscriptRow.id, RevisionRow.segment_count)
        .outerjoin(RevisionRow, is_current())
        .where(TranscriptRow.id > after)
        .order_by(TranscriptRow.id)
        .limit(_BATCH)
    ):
        if ids and segments + (count or 0) > _FILL_SEGMENTS:
            break
        ids.append(id)
        segments += count or 0
    if not ids:
        return None
    there = _entries(session, span_of(ids[0])[0], span_of(ids[-1])[1])
    lowest: dict[int, int] = {}
    for id in there.values():
        lowest[id >> BITS] = min(id, lowest.get(id >> BITS, id))
    found = session.execute(
        select(
            TranscriptRow.id, SegmentRow.id, SegmentRow.text, SegmentRow.language,
            SegmentRow.speaker, SegmentRow.details,
        )
        .join(RevisionRow, is_current())
        .join(RevisionSegmentRow, RevisionSegmentRow.revision_id == RevisionRow.id)
        .join(SegmentRow, SegmentRow.id == RevisionSegmentRow.segment_id)
        .where(TranscriptRow.id.between(ids[0], ids[-1]))
        .order_by(TranscriptRow.id, RevisionSegmentRow.position)
    )  # fmt: skip
    numbered: list[tuple[int, _Row]] = []
    for transcript_id, *columns in found:
        row = _Row(*columns)
        if row.segment_id not in there:
            id = lowest.get(transcript_id, span_of(transcript_id)[1] + 1) - 1
            lowest[transcript_id] = id
            numbered.append((id, row))
    _add(session, numbered)
    return ids[-1]


def fill_all(connection: Connection) -> None:
    """Index everything that is missing, in the connection's transaction."""
    with Session(connection) as session:
        after: int | None = 0
        while after is not None:
            after = fill(session, after=after)
            session.expunge_all()
        note_whole(session)
        session.flush()


def copy_terms(connection: Connection) -> None:
    """Make terms for entries that were copied from another database, sounds as they were there."""
    with Session(connection) as session:
        if session.scalar(select(SearchEntryRow.id).limit(1)) is None:
            return
        below = session.scalar(select(func.max(SearchEntryRow.id)))
        while below is not None:
            rows = session.execute(
                _entry_texts().where(SearchEntryRow.id <= below)
                .order_by(SearchEntryRow.id.desc()).limit(_BATCH)
            ).all()  # fmt: skip
            _write_terms(session, [(id, _terms(row, packed)) for id, packed, row in _told(rows)])
            below = rows[-1][0] - 1 if len(rows) == _BATCH else None


def clear(session: Session) -> None:
    """An empty index, which is noted as stale."""
    if _is_sqlite(session):
        session.execute(text("insert into search_index (search_index) values ('delete-all')"))
    else:
        session.execute(text("truncate search_index"))
    session.execute(delete(SearchEntryRow))
    session.merge(SettingRow(name=_STALE, value=True, changed_at=datetime.now(UTC)))
    session.flush()


def is_whole(session: Session) -> bool:
    """False while something that was kept cannot be found, see ``clear``."""
    return session.get(SettingRow, _STALE) is None


def note_whole(session: Session) -> None:
    session.execute(delete(SettingRow).where(SettingRow.name == _STALE))


def merge(session: Session) -> None:
    """Write SQLite's index anew, so that nothing is left of what was taken out."""
    if _is_sqlite(session):
        session.execute(text("insert into search_index (search_index) values ('optimize')"))


def faults(session: Session) -> Iterator[str]:
    """Sentences about what the index lacks or has too much."""
    if not is_whole(session):
        yield "The index of the search is not whole; run `lingting db reindex`."
        return
    wanted = session.scalar(select(func.sum(RevisionRow.segment_count)).join(
        TranscriptRow, is_current())) or 0  # fmt: skip
    entries = session.scalar(select(func.count()).select_from(SearchEntryRow)) or 0
    if entries != wanted:
        yield (
            f"The index of the search has {entries} segments of {wanted};"
            " run `lingting db reindex`."
        )


def without_sounds(session: Session) -> int:
    """How many segments are in the index that a search by sound cannot find."""
    query = select(func.count()).where(SearchEntryRow.sounds.is_(None))
    return session.scalar(query) or 0


def _current_segments() -> Any:
    return (
        select(RevisionSegmentRow.segment_id)
        .join(RevisionRow, RevisionRow.id == RevisionSegmentRow.revision_id)
        .join(TranscriptRow, is_current())
        .order_by(RevisionSegmentRow.position)
    )


def _entries(session: Session, low: int, high: int) -> dict[int, int]:
    """Entries' ids by the ids of their segments."""
    query = select(SearchEntryRow.segment_id, SearchEntryRow.id)
    rows = session.execute(query.where(SearchEntryRow.id.between(low, high)))
    return {row[0]: row[1] for row in rows}


def _rows(session: Session, ids: Sequence[int]) -> Iterator[_Row]:
    for part in _parts(ids):
        rows = session.execute(
            select(
                SegmentRow.id, SegmentRow.text, SegmentRow.language, SegmentRow.speaker,
                SegmentRow.details,
            ).where(SegmentRow.id.in_(part))
        )  # fmt: skip
        found = {row[0]: _Row(*row) for row in rows}
        yield from (found[id] for id in part)


def _add(session: Session, numbered: Iterable[tuple[int, _Row]]) -> None:
    has_sounds = search.has_sounds()
    for part in _parts(list(numbered)):
        entries, terms = [], []
        for id, row in part:
            units = search.units_of(row.text)
            sounds = search.sounds_of(units.texts) if has_sounds else None
            entries.append(
                {
                    "id": id, "segment_id": row.segment_id,
                    "confidence": (row.details or {}).get("confidence"),
                    "sounds": None if sounds is None else search.pack(sounds),
                }
            )  # fmt: skip
            told = search.terms_of(units, sounds, language=row.language, speaker=row.speaker)
            terms.append((id, told))
        session.execute(insert(SearchEntryRow), entries)
        _write_terms(session, terms)


def _write_terms(session: Session, terms: list[tuple[int, list[str]]]) -> None:
    if not terms:
        return
    if _is_sqlite(session):
        rows = [(id, " ".join(told)) for id, told in terms]
        session.connection().exec_driver_sql(_INSERT_SQLITE, rows)
    else:
        session.execute(_INSERT_POSTGRES, [{"id": id, "terms": told} for id, told in terms])


def _remove(session: Session, gone: dict[int, int]) -> None:
    """``gone``: entries' ids by their segments'. FTS5 is told the terms that it is to forget."""
    for part in _parts(sorted(gone.values())):
        if _is_sqlite(session):
            rows = session.execute(_entry_texts().where(SearchEntryRow.id.in_(part))).all()
            session.connection().exec_driver_sql(
                _DELETE_SQLITE,
                [(id, " ".join(_terms(row, packed))) for id, packed, row in _told(rows)],
            )
        else:
            session.execute(
                text("delete from search_index where id = any(:ids)"), {"ids": list(part)}
            )
        session.execute(
            delete(SearchEntryRow).where(SearchEntryRow.id.in_(part)),
            execution_options={"synchronize_session": False},
        )


def _entry_texts() -> Any:
    return select(
        SearchEntryRow.id, SearchEntryRow.sounds,
        SegmentRow.id, SegmentRow.text, SegmentRow.language, SegmentRow.speaker,
    ).join(SegmentRow, SegmentRow.id == SearchEntryRow.segment_id)  # fmt: skip


def _told(rows: Iterable[Any]) -> Iterator[tuple[int, bytes | None, _Row]]:
    return ((row[0], row[1], _Row(*row[2:])) for row in rows)


def _terms(row: _Row, packed: bytes | None) -> list[str]:
    sounds = None if packed is None else search.unpack(packed)
    return search.terms_of(
        search.units_of(row.text), sounds, language=row.language, speaker=row.speaker
    )


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    yield from (rows[first : first + _BATCH] for first in range(0, len(rows), _BATCH))


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
