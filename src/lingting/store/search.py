"""Searching all current transcripts: hits with times, by recording, the newest first.

A question walks down the index from where the page before ended: it takes the next ids that hold
all terms, leaves out those whose recording does not pass the filters or is not seen by who asks
(in the same statement), and compares the text of the others. It stops when the page is full, at the
end, or at its limit of work: a word in every second segment and a filter that hardly any recording
passes must not read a million rows. So an answer says whether it is complete, and where to go on.

When many candidates brought too little and few recordings can pass, it goes on the other way round:
recording by recording, each a range of the index.

What is searched appears in no log, error or audit row.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    Subquery,
    Text,
    and_,
    cast,
    column,
    func,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy import types as sql
from sqlalchemy.orm import Session, aliased

from lingting.errors import OptionInvalid
from lingting.search import (
    Match,
    Query,
    language_term,
    loosened,
    parse_query,
    speaker_term,
    units_of,
    unpack,
)
from lingting.search.times import times_of
from lingting.store import indexing, queries
from lingting.store.filters import checked, is_tagged, of_length, of_time
from lingting.store.hits import (
    FoundPlace,
    FoundRecording,
    FoundSegment,
    SearchFilters,
    SearchPage,
)
from lingting.store.records import Recording, SharedWith, Sight
from lingting.store.rows import SEGMENT_COLUMNS, segments_of, storable
from lingting.store.schema import (
    RecordingRow,
    RevisionRow,
    RevisionSegmentRow,
    SearchEntryRow,
    SegmentRow,
    TranscriptRow,
    WordsRow,
)

if TYPE_CHECKING:
    from lingting.store.database import Database

MAX_PAGE = 100
MAX_HITS = 20
MAX_NAMED = 10
"""Recordings that are found by their name."""
COUNTED = 1_000
"""Segments are counted up to here."""
_AROUND = ' \t\n"“”'
"""Quotes make a phrase; they are no part of a name."""
_OF_ONE = 20
"""So many hits of one recording are looked for; then its remainder is stepped over."""
_COMPARED = 128
"""Texts that are read at once."""
_FIRST_BLOCK, _LARGEST_BLOCK = 256, 4_096
_CANDIDATES = 16_384
"""How many a question looks at before it stops."""
_TURN_ROUND = 4_352
"""After so many, it asks how many recordings can pass at all."""
_FEW_RECORDINGS = 500
_END = 1 << 62
_SAMPLE, _COMMON = 2_000, 0.05
_POSTGRES_SAMPLE = """
select count(*) from
 (select terms from search_index where id < :below order by id desc limit :sample) newest
 where terms @@ cast(:match as tsquery)
"""
_POSTGRES_COMMON = """
select id from search_index where terms @@ cast(:match as tsquery) and id < :below
 order by id desc limit :size
"""
_POSTGRES_RARE = """
select id from search_index where terms @@ cast(:match as tsquery) and id < :below
 order by id + 0 desc limit :size
"""
"""No index has the order ``id + 0``: Postgres takes all hits from that of the terms, and sorts."""


class Search:
    """The search of a store. May be used by many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(
        self,
        typed: str,
        *,
        match: Match = "text",
        filters: SearchFilters | None = None,
        sight: Sight | SharedWith | None = None,
        limit: int = 20,
        hits: int = 3,
        after: str | None = None,
    ) -> SearchPage:
        """A page of recordings that hold what was typed, the newest first.

        A first page also has others whose name holds it. ``sight``: only what is seen with it.
        ``hits``: how many segments of each at most. ``after`` is ``next`` of the page before; what
        others keep meanwhile does not move pages. Raises OptionInvalid, and ExtraMissing for a
        search by sound without pypinyin.
        """
        if not (1 <= limit <= MAX_PAGE and 1 <= hits <= MAX_HITS):
            raise OptionInvalid(f"limit goes up to {MAX_PAGE}, hits up to {MAX_HITS}.")
        typed = storable(typed)
        query = parse_query(typed, match)
        wish = checked(filters or SearchFilters())
        below, is_loose = _parse_place(after)
        if is_loose:
            query = (loosened(typed) if match == "text" else None) or query
        with self._database.read() as session:
            asked = _Question(session, query, wish, sight, limit, hits)
            found = asked.page(below)
            loose = None
            if not found.items and found.next is None and after is None and match == "text":
                loose = loosened(typed)
            if loose is not None:
                asked = _Question(session, loose, wish, sight, limit, hits)
                again = asked.page(below)
                if again.items or again.next is not None:
                    found, is_loose = again, True
            page = replace(
                found,
                next=None if found.next is None else _place(int(found.next), is_loose),
                read_as="words" if is_loose else "given",
                is_complete=found.is_complete and indexing.is_whole(session),
            )
            if after is not None:
                return page
            page = _counted(page, asked)
            return replace(page, named=_named(session, typed, wish, sight, page))

    def rebuild(self) -> int:
        """Make the index anew, in small transactions; how many segments it has then.

        Others go on meanwhile; until it is done, answers say that they are not complete. Ended
        halfway, it is done again.
        """
        with self._database.write() as session:
            indexing.clear(session)
        after: int | None = 0
        while after is not None:
            with self._database.write() as session:
                after = indexing.fill(session, after=after)
        with self._database.write() as session:
            indexing.merge(session)
            indexing.note_whole(session)
            return session.scalar(select(func.count()).select_from(SearchEntryRow)) or 0

    def without_sounds(self) -> int:
        """How many segments were written without pypinyin, so that sounds do not find them."""
        with self._database.read() as session:
            return indexing.without_sounds(session)


class _Block(NamedTuple):
    """Candidates in their order, and what was looked at for them."""

    passing: Sequence[tuple[int, str]]
    """Entry and recording of those that pass."""
    looked_at: int
    last_id: int
    """Of all that were looked at."""


@dataclass(slots=True)
class _Group:
    """What was found of one recording."""

    recording_id: str
    hits: list[tuple[int, tuple[Any, ...]]]
    """Entry ids and where their text matches, at most ``_OF_ONE``."""
    is_capped: bool = False
    """There may be more."""


class _Question:
    """One question in one session."""

    def __init__(
        self, session: Session, query: Query, filters: SearchFilters,
        sight: Sight | SharedWith | None, limit: int, hits: int,
    ) -> None:  # fmt: skip
        self._session = session
        self._query = query
        self._filters = filters
        self._limit = limit
        self._hits = hits
        self._is_sqlite = session.get_bind().dialect.name == "sqlite"
        self._expression = self._match()
        self._passes = _passes(filters, sight)
        self._is_filtered = sight is not None or filters != SearchFilters()
        self._ask = session.connection().execute
        self._common: bool | None = None

    def page(self, below: int) -> SearchPage:
        """``next`` is an id here."""
        groups: dict[int, _Group] = {}
        looked_at, size, is_at_end, has_turned = 0, _FIRST_BLOCK, False, not self._is_filtered
        while len(groups) <= self._limit and looked_at < _CANDIDATES and not is_at_end:
            if looked_at >= _TURN_ROUND and not has_turned:
                has_turned = True
                able = self._able(below)
                if len(able) <= _FEW_RECORDINGS:
                    below, is_at_end = self._by_recording(able, groups, below)
                    break
                below = min(below, indexing.span_of(able[0][0])[1] + 1)
            block = self._candidates(below, size)
            looked_at += block.looked_at
            is_at_end = block.looked_at < size
            self._take(block.passing, groups)
            below = self._behind(block.last_id, groups)
            size = min(size * 4, _LARGEST_BLOCK)
        return self._made(groups, below, is_at_end)

    def _made(self, groups: dict[int, _Group], below: int, is_at_end: bool) -> SearchPage:
        shown = list(groups.items())[: self._limit]
        is_full = len(groups) > self._limit
        is_last = is_at_end and not is_full
        if shown and not is_last:
            last_id, last = shown[-1]
            if is_full or below >> indexing.BITS == last_id:  # a recording is on one page only
                last.is_capped |= not is_full
                below = indexing.span_of(last_id)[0]
        return SearchPage(
            items=self._found([group for _, group in shown]),
            next=None if is_last else str(below),
            count=None,
            is_count_capped=False,
            is_complete=is_full or is_at_end,
            read_as="given",
        )

    def _behind(self, id: int, groups: dict[int, _Group]) -> int:
        """Where to go on: a recording that has enough hits is stepped over."""
        group = groups.get(id >> indexing.BITS)
        return indexing.span_of(id >> indexing.BITS)[0] if group and group.is_capped else id

    # Candidates --------------------------------------------------------------------------------

    def _picked(self, below: int, size: int) -> CTE:
        """The next ids that hold all terms."""
        if self._is_sqlite:
            ids = text(
                "select rowid as id from search_index where search_index match :match"
                " and rowid < :below order by rowid desc limit :size"
            )
        else:
            ids = text(_POSTGRES_COMMON if self._is_common(below) else _POSTGRES_RARE)
        bound = ids.bindparams(match=self._expression, below=below, size=size)
        return bound.columns(column("id", sql.BigInteger)).cte("picked")

    def _is_common(self, below: int) -> bool:
        """On Postgres: whether the newest entries hold so many hits that walking them is best.

        Its own estimate knows the thousand commonest terms only, and would walk for all others.
        """
        if self._common is None:
            found = self._session.execute(
                text(_POSTGRES_SAMPLE),
                {"match": self._expression, "below": below, "sample": _SAMPLE},
            )
            self._common = (found.scalar() or 0) >= _SAMPLE * _COMMON
        return self._common

    def _passing(self, picked: CTE) -> Subquery:
        """Those of them that pass; who asks and what was filtered is in this one statement.

        A subquery for each and no join: SQLite would rather begin with all recordings of a month
        and look for each of them among the picked.
        """
        recording = (
            select(RecordingRow.id)
            .join(TranscriptRow, TranscriptRow.recording_id == RecordingRow.id)
            .where(TranscriptRow.id == _transcript_of(picked.c.id), self._passes)
        )
        if self._filters.min_confidence is not None:
            recording = recording.join(SearchEntryRow, SearchEntryRow.id == picked.c.id).where(
                SearchEntryRow.confidence >= self._filters.min_confidence
            )
        found = recording.correlate(picked).scalar_subquery().label("recording_id")
        asked = select(picked.c.id, found).subquery("asked")
        return select(asked).where(asked.c.recording_id.is_not(None)).subquery("passing")

    def _candidates(self, below: int, size: int) -> _Block:
        picked = self._picked(below, size)
        passing = select(self._passing(picked))
        told = select(func.min(picked.c.id), cast(func.count(), Text)).select_from(picked)
        rows = self._ask(union_all(told, passing)).all()
        last_id, looked_at = rows[0]
        found = sorted(((row[0], row[1]) for row in rows[1:]), reverse=True)
        return _Block(found, int(looked_at), below if last_id is None else last_id)

    def _able(self, below: int) -> Sequence[tuple[int, str]]:
        """Transcripts that can pass and their recordings, the newest first; a few too many."""
        found = self._ask(
            select(TranscriptRow.id, RecordingRow.id)
            .join(RecordingRow, RecordingRow.id == TranscriptRow.recording_id)
            .where(self._passes, TranscriptRow.id <= (below - 1 >> indexing.BITS))
            .order_by(TranscriptRow.id.desc())
            .limit(_FEW_RECORDINGS + 1)
        )
        return [(row[0], row[1]) for row in found]

    def _by_recording(
        self, able: Sequence[tuple[int, str]], groups: dict[int, _Group], below: int
    ) -> tuple[int, bool]:
        """Go on through the ranges of these transcripts; where it ended, and whether at the end."""
        connection = self._session.connection()
        if self._is_sqlite:
            asked = (
                "select rowid from search_index where search_index match ?"
                " and rowid >= ? and rowid < ? order by rowid desc limit ?"
            )
        else:
            asked = (
                "select id from search_index where terms @@ cast(%s as tsquery)"
                " and id >= %s and id < %s order by id desc limit %s"
            )
        looked_at = 0
        for transcript_id, recording_id in able:
            low, high = indexing.span_of(transcript_id)
            below, size = min(high + 1, below), _OF_ONE
            while below > low:
                rows = connection.exec_driver_sql(asked, (self._expression, low, below, size))
                block = [(row[0], recording_id) for row in rows]
                looked_at += len(block)
                self._take(self._confident(block), groups)
                is_at_end = len(block) < size
                below = low if is_at_end else self._behind(block[-1][0], groups)
                size = _FIRST_BLOCK
                if looked_at >= _CANDIDATES:
                    return below, False
            if len(groups) > self._limit:
                return below, False
        return below, True

    def _confident(self, block: list[tuple[int, str]]) -> list[tuple[int, str]]:
        if self._filters.min_confidence is None or not block:
            return block
        sure = select(SearchEntryRow.id).where(
            SearchEntryRow.id.in_([id for id, _ in block]),
            SearchEntryRow.confidence >= self._filters.min_confidence,
        )
        kept = {row[0] for row in self._ask(sure)}
        return [one for one in block if one[0] in kept]

    def _take(self, passing: Sequence[tuple[int, str]], groups: dict[int, _Group]) -> None:
        """Compare the texts of candidates, some at a time, until there are groups enough."""
        waiting = list(reversed(passing))
        while waiting and len(groups) <= self._limit:
            some: list[tuple[int, str]] = []
            while waiting and len(some) < _COMPARED:
                one = waiting.pop()
                group = groups.get(one[0] >> indexing.BITS)
                if group is None or not group.is_capped:
                    some.append(one)
            texts = self._texts([id for id, _ in some])
            for id, recording_id in some:
                self._compare(id, recording_id, *texts.get(id, ("", None)), groups)

    def _compare(
        self, id: int, recording_id: str, said: str, packed: bytes | None,
        groups: dict[int, _Group],
    ) -> None:  # fmt: skip
        heard = unpack(packed) if packed and self._query.needs_sounds else None
        places = self._query.places(units_of(said), heard)
        if not places:
            return
        group = groups.setdefault(id >> indexing.BITS, _Group(recording_id, []))
        if not group.is_capped:
            group.hits.append((id, places))
            group.is_capped = len(group.hits) >= _OF_ONE

    def _texts(self, ids: list[int]) -> dict[int, tuple[str, bytes | None]]:
        rows = self._ask(
            select(SearchEntryRow.id, SegmentRow.text, SearchEntryRow.sounds)
            .join(SegmentRow, SegmentRow.id == SearchEntryRow.segment_id)
            .where(SearchEntryRow.id.in_(ids))
        )
        return {id: (said, packed) for id, said, packed in rows}

    # Answers -----------------------------------------------------------------------------------

    def _found(self, groups: list[_Group]) -> tuple[FoundRecording, ...]:
        best = {
            id: places
            for group in groups
            for id, places in sorted(group.hits, key=lambda hit: (-len(hit[1]), -hit[0]))[
                : self._hits
            ]
        }
        recordings = queries.recordings_by_id(self._session, [one.recording_id for one in groups])
        segments = self._segments(best)
        return tuple(
            FoundRecording(
                recording=recordings[group.recording_id],
                hits=tuple(segments[id] for id in sorted(best, reverse=True)
                           if id in segments and id in {one for one, _ in group.hits}),
                count=len(group.hits),
                is_count_capped=group.is_capped,
            )
            for group in groups
        )  # fmt: skip

    def _segments(self, best: dict[int, tuple[Any, ...]]) -> dict[int, FoundSegment]:
        """By entry id, with times of their words."""
        rows = self._ask(
            select(
                SearchEntryRow.id, RevisionSegmentRow.position, SegmentRow.id,
                *(getattr(SegmentRow, name) for name in SEGMENT_COLUMNS),
                cast(SegmentRow.details, Text), cast(WordsRow.words, Text),
            )
            .join(SegmentRow, SegmentRow.id == SearchEntryRow.segment_id)
            .join(TranscriptRow, TranscriptRow.id == SegmentRow.transcript_id)
            .join(RevisionRow, queries.is_current())
            .join(
                RevisionSegmentRow,
                and_(
                    RevisionSegmentRow.segment_id == SegmentRow.id,
                    RevisionSegmentRow.revision_id == RevisionRow.id,
                ),
            )
            .outerjoin(WordsRow, WordsRow.segment_id == SegmentRow.id)
            .where(SearchEntryRow.id.in_(list(best)))
        ).all()  # fmt: skip
        words = {row[2]: row[-1] for row in rows if row[-1] is not None}
        read = segments_of([row[2:-1] for row in rows], words)
        found = {}
        for id, position, segment_id, *_ in rows:
            segment = read[segment_id]
            places = [
                FoundPlace(
                    one.start, one.end, *(times_of(segment, one.start, one.end) or (None,) * 2)
                )
                for one in best[id]
            ]
            starts = [one.start_s for one in places if one.start_s is not None]
            found[id] = FoundSegment(
                position=position, start_s=segment.start_s, end_s=segment.end_s,
                at_s=min(starts, default=segment.start_s), text=segment.text,
                language=segment.language, speaker=segment.speaker,
                confidence=segment.confidence, places=tuple(places),
            )  # fmt: skip
        return found

    def count(self) -> tuple[int, bool]:
        """How many segments hold all terms and pass, up to ``COUNTED``; of a phrase, about.

        Among as many candidates as are looked at for a page.
        """
        picked = self._picked(_END, _CANDIDATES)
        some = select(self._passing(picked)).limit(COUNTED + 1).subquery()
        found = self._ask(select(func.count()).select_from(some)).scalar() or 0
        if found > COUNTED:
            return COUNTED, True
        looked_at = self._ask(select(func.count()).select_from(picked)).scalar() or 0
        return found, looked_at >= _CANDIDATES

    def _match(self) -> str:
        """The terms as FTS5 or Postgres want them; they hold letters and digits only."""
        fixed = []
        if self._filters.language is not None:
            fixed.append(language_term(self._filters.language))
        if self._filters.speaker is not None:
            fixed.append(speaker_term(self._filters.speaker))
        every = [*(((one,),) for one in fixed), *self._query.wanted()]
        quote, both, either = ('"', " AND ", " OR ") if self._is_sqlite else ("'", " & ", " | ")
        return both.join(
            "(" + either.join(
                "(" + both.join(f"{quote}{term}{quote}" for term in way) + ")" for way in ways
            ) + ")"
            for ways in every
        )  # fmt: skip


def _transcript_of(id: Any) -> Any:
    """Of an entry's id."""
    return id.op(">>")(literal_column(str(indexing.BITS)))


def _passes(filters: SearchFilters, sight: Sight | SharedWith | None) -> ColumnElement[bool]:
    """What a recording must be like."""
    tests: list[ColumnElement[bool]] = [
        RecordingRow.deleted_at.is_(None),
        queries.seen_by(sight),
        *of_time(filters, RecordingRow.created_at),
        *of_length(filters),
    ]
    if filters.owner is not None:
        tests.append(RecordingRow.owner == filters.owner)
    if filters.department is not None:
        tests.append(RecordingRow.department == filters.department)
    if filters.tag is not None:
        tests.append(is_tagged(filters.tag))
    return and_(*tests)


def _named(
    session: Session,
    typed: str,
    filters: SearchFilters,
    sight: Sight | SharedWith | None,
    page: SearchPage,
) -> Sequence[Recording]:
    """Those whose name holds it and that are not on the page; none if segments are asked for.

    All names are read in the order in which they lie, in a query of their own: 15 ms for 50,000.
    In the order of an index SQLite would take four times as long. Its LIKE takes small and large
    letters of English as one by itself; Postgres must be asked to.
    """
    name = typed.strip(_AROUND)
    if not name or filters.is_of_segments:
        return ()
    row, every = RecordingRow, aliased(RecordingRow)
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    holds = every.name.contains if is_sqlite else every.name.icontains
    ids = session.scalars(
        select(row.id)
        .where(row.id.in_(select(every.id).where(holds(name, autoescape=True))))
        .where(row.id.not_in([one.recording.id for one in page.items]), _passes(filters, sight))
        .order_by(row.created_at.desc(), row.id.desc())
        .limit(MAX_NAMED)
    ).all()
    found = queries.recordings_by_id(session, ids)
    return tuple(found[id] for id in ids)


def _counted(page: SearchPage, asked: _Question) -> SearchPage:
    """With a count. What is all on the page is counted there, text by text."""
    if page.next is None and not any(one.is_count_capped for one in page.items):
        return replace(page, count=sum(one.count for one in page.items))
    count, is_capped = asked.count()
    return replace(page, count=count, is_count_capped=is_capped)


def _place(id: int, is_loose: bool) -> str:
    raw = json.dumps([id, int(is_loose)]).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _parse_place(given: str | None) -> tuple[int, bool]:
    """Raises OptionInvalid for what is no ``next`` of ours."""
    if given is None:
        return _END, False
    try:
        raw = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))
        id, is_loose = json.loads(raw)
        if not (isinstance(id, int) and 0 <= id <= _END):
            raise ValueError
    except (ValueError, TypeError, RecursionError) as exc:
        raise OptionInvalid("after is no place in this list.", "Give `next` of a page.") from exc
    return id, bool(is_loose)
