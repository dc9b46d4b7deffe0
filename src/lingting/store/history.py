"""The history by the page, narrowed and in several orders, and what it can be narrowed by.

A page begins where the last one ended (see ``queries``). In the order of time it walks down one
index that has this order: of the tag, the speaker or the state that is asked for, or of recordings;
all other tests look at each row on the way. Somebody who sees a part of the history only walks
down their own part, however rare what they ask for is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, func, or_, select, union
from sqlalchemy.orm import Session

from lingting.errors import OptionInvalid
from lingting.store import filters as tests
from lingting.store import queries
from lingting.store.listed import (
    Facet,
    Facets,
    FacetValue,
    HistoryFilters,
    HistoryPage,
    HistoryPlace,
    ListState,
    Order,
)
from lingting.store.records import Recording, SharedWith, Sight
from lingting.store.schema import (
    JobRow,
    RecordingRow,
    RecordingShareRow,
    SpeakerRow,
    TagRow,
)

if TYPE_CHECKING:
    from lingting.store.database import Database

COUNTED = 1_000
"""Recordings are counted up to here."""
MAX_VALUES = 200
"""Of one kind, to choose from."""
_UNREAD_S = -1.0
"""Where recordings stand whose length nobody knows: the shortest."""
_COMMON: frozenset[ListState] = frozenset({"done", "none"})
"""States that most recordings may have; an index of the others is short."""


class History:
    """The history of a store. May be used by many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self,
        filters: HistoryFilters | None = None,
        *,
        order: Order = "newest",
        limit: int = 50,
        after: HistoryPlace | None = None,
        sight: Sight | SharedWith | None = None,
        is_counted: bool = False,
    ) -> HistoryPage:
        """``limit`` recordings; ``after`` is ``next`` of the page before, in the same order.

        ``sight``: only what is seen with it. Raises OptionInvalid for a place in another order, and
        for filters that cannot be.
        """
        asked = _Question(tests.checked(filters or HistoryFilters()), order, sight)
        with self._database.read() as session:
            ids = asked.ids(session, after, limit + 1)
            found = queries.recordings_by_id(session, ids[:limit])
            items = [found[id] for id in ids[:limit]]
            count = asked.count(session) if is_counted else None
        is_capped = count is not None and count > COUNTED
        return HistoryPage(
            items=items,
            next=place_of(items[-1], order) if len(ids) > limit else None,
            count=COUNTED if is_capped else count,
            is_count_capped=is_capped,
        )

    def facets(self, *, sight: Sight | SharedWith | None = None) -> Facets:
        """What recordings that are seen with it have, deleted ones left out."""
        seen = _seen(sight)
        with self._database.read() as session:
            return Facets(
                languages=_facet(session, seen.c.language, seen),
                tags=_facet(session, TagRow.tag, seen, TagRow.recording_id),
                speakers=_facet(session, SpeakerRow.speaker, seen, SpeakerRow.recording_id),
                owners=_facet(session, seen.c.owner, seen),
                departments=_facet(session, seen.c.department, seen),
            )


def place_of(recording: Recording, order: Order) -> HistoryPlace:
    """Where the next page begins."""
    if order in ("newest", "oldest"):
        return HistoryPlace(order, recording.created_at, recording.id)
    if order == "name":
        return HistoryPlace(order, None, recording.id)
    length_s = _UNREAD_S if recording.duration_s is None else recording.duration_s
    return HistoryPlace(order, length_s, recording.id)


@dataclass(frozen=True, slots=True)
class _Way:
    """One index to walk down: its columns of time and id, and what must hold there."""

    time: Any
    id: Any
    holds: ColumnElement[bool]
    answers: str = ""
    """The filter that need not be looked at any more."""


class _Question:
    """One question, as queries."""

    def __init__(
        self, filters: HistoryFilters, order: Order, sight: Sight | SharedWith | None
    ) -> None:
        self._filters = filters
        self._order = order
        self._sight = sight
        self._is_by_time = order in ("newest", "oldest")
        self._is_falling = order in ("newest", "longest")

    def ids(self, session: Session, after: HistoryPlace | None, limit: int) -> Sequence[str]:
        """Of the next recordings."""
        key = None if after is None else self._key_of(session, after)
        pages = [self._page(way, after, key, limit) for way in self._ways()]
        if len(pages) == 1:
            return session.scalars(pages[0]).all()
        # One query with "or" in it would sort everything that anybody of a department ever gave.
        merged = union(*(select(one.subquery()) for one in pages)).subquery()
        return session.scalars(
            select(merged.c.id).order_by(*self._ordered(merged.c.key, merged.c.id)).limit(limit)
        ).all()

    def count(self, session: Session) -> int:
        """How many pass; one more than are counted when there are more."""
        some = [self._passing(way).limit(COUNTED + 1).subquery() for way in self._ways()]
        found = union(*(select(one.c.id) for one in some)).subquery() if len(some) > 1 else some[0]
        capped = select(found.c.id).limit(COUNTED + 1).subquery()
        return session.scalar(select(func.count()).select_from(capped)) or 0

    def _page(self, way: _Way, after: HistoryPlace | None, key: Any, limit: int) -> Select[Any]:
        picked = self._passing(way)
        by = self._key(way)
        if after is not None and self._is_falling:
            picked = picked.where(by <= key, or_(by < key, way.id < after.id))
        elif after is not None:
            picked = picked.where(by >= key, or_(by > key, way.id > after.id))
        return picked.order_by(*self._ordered(by, way.id)).limit(limit)

    def _ordered(self, key: Any, id: Any) -> tuple[Any, Any]:
        return (key.desc(), id.desc()) if self._is_falling else (key, id)

    def _key(self, way: _Way) -> Any:
        if self._is_by_time:
            return way.time
        if self._order == "name":
            return RecordingRow.name
        return func.coalesce(RecordingRow.duration_s, _UNREAD_S)

    def _key_of(self, session: Session, after: HistoryPlace) -> Any:
        """Raises OptionInvalid for a place of another list."""
        key: Any = after.key
        if self._order == "name":  # of one that is seen, or pages would tell how others are called
            named = select(RecordingRow.name).where(RecordingRow.id == after.id)
            key = session.scalar(named.where(queries.seen_by(self._sight)))
        if after.order != self._order or key is None:
            raise OptionInvalid("after is no place in this list.", "Give `next` of a page.")
        return key

    # Ways --------------------------------------------------------------------------------------

    def _ways(self) -> list[_Way]:
        """Together they have all that is seen; the same recording may be on several."""
        made, id, given = RecordingRow.created_at, RecordingRow.id, self._filters
        sight = self._sight
        if isinstance(sight, SharedWith) and self._is_by_time:
            share = RecordingShareRow
            return [
                _Way(share.recorded_at, share.recording_id, and_(named, queries.is_in_force()))
                for named in queries.named_by(sight)
            ]
        seen = queries.ways_to_see(sight)
        if given.owner is not None or given.department is not None:
            return [_Way(made, id, or_(*seen))]
        if sight is None and self._is_by_time:
            return self._rare_ways() or [_Way(made, id, seen[0])]
        return [_Way(made, id, one) for one in seen]

    def _rare_ways(self) -> list[_Way]:
        given = self._filters
        if given.tag is not None:
            return [_Way(TagRow.created_at, TagRow.recording_id, TagRow.tag == given.tag, "tag")]
        if given.speaker is not None:
            speaker = SpeakerRow
            holds = speaker.speaker == given.speaker
            return [_Way(speaker.created_at, speaker.recording_id, holds, "speaker")]
        if given.states and _COMMON.isdisjoint(given.states):
            job = JobRow
            return [
                _Way(job.recorded_at, job.recording_id, and_(job.is_newest, job.state == one),
                     "states")
                for one in dict.fromkeys(given.states)
            ]  # fmt: skip
        return []

    # Tests -------------------------------------------------------------------------------------

    def _passing(self, way: _Way) -> Select[Any]:
        """All of a way that pass every filter."""
        picked = select(way.id.label("id"), self._key(way).label("key"))
        if way.id is not RecordingRow.id:
            picked = picked.join(RecordingRow, RecordingRow.id == way.id)
        return picked.where(way.holds, *self._tests(way))

    def _tests(self, way: _Way) -> list[ColumnElement[bool]]:
        given, deleted = self._filters, RecordingRow.deleted_at
        found = [
            deleted.is_not(None) if given.is_deleted else deleted.is_(None),
            *tests.of_time(given, way.time),
            *tests.of_length(given),
        ]
        if isinstance(self._sight, SharedWith):
            found.append(queries.is_for(self._sight))
        if given.owner is not None:
            found.append(RecordingRow.owner == given.owner)
        if given.department is not None:
            found.append(RecordingRow.department == given.department)
        if given.language is not None:
            found.append(RecordingRow.language == given.language)
        if given.tag is not None and way.answers != "tag":
            found.append(tests.is_tagged(given.tag))
        if given.speaker is not None and way.answers != "speaker":
            found.append(_is_spoken_by(given.speaker))
        if given.states and way.answers != "states":
            found.append(_is_in(given.states))
        return found


def _is_spoken_by(speaker: str) -> ColumnElement[bool]:
    ours = SpeakerRow.recording_id == RecordingRow.id
    return select(SpeakerRow.speaker).where(ours, SpeakerRow.speaker == speaker).exists()


def _is_in(states: Sequence[ListState]) -> ColumnElement[bool]:
    newest = select(JobRow.id).where(JobRow.recording_id == RecordingRow.id, JobRow.is_newest)
    named = [one for one in states if one != "none"]
    ways: list[ColumnElement[bool]] = []
    if named:
        ways.append(newest.where(JobRow.state.in_(named)).exists())
    if "none" in states:
        ways.append(~newest.exists())
    return or_(*ways)


def _seen(sight: Sight | SharedWith | None) -> Subquery:
    """Each recording that is seen, once; each way by its own index, as for pages."""
    row = RecordingRow
    ways = [
        select(row.id, row.language, row.owner, row.department).where(row.deleted_at.is_(None), one)
        for one in queries.ways_to_see(sight)
    ]
    return (union(*ways) if len(ways) > 1 else ways[0]).subquery("seen")


def _facet(session: Session, value: Any, seen: Subquery, id: Any | None = None) -> Facet:
    """``id``: the column that names the recording, where the value is in a table of its own."""
    query = select(value, func.count().label("found")).select_from(seen)
    if id is not None:
        query = query.join(id.class_, id == seen.c.id)
    query = query.where(value.is_not(None)).group_by(value)
    rows = session.execute(query.order_by(func.count().desc(), value).limit(MAX_VALUES + 1)).all()
    items = [FacetValue(row[0], row[1]) for row in rows[:MAX_VALUES]]
    return Facet(items, is_complete=len(rows) <= MAX_VALUES)
