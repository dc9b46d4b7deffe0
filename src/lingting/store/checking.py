"""Rows and audio of a store are compared, and what was interrupted is finished."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select, text
from sqlalchemy.orm import Session

from lingting.store import indexing, purging
from lingting.store.queries import is_current
from lingting.store.records import Checkup
from lingting.store.schema import (
    BlobRow,
    RecordingRow,
    RevisionRow,
    RevisionSegmentRow,
    TranscriptRow,
)

if TYPE_CHECKING:
    from lingting.store.store import Store


def check(store: Store, *, audio: bool) -> Checkup:
    """See ``Store.check``."""
    finished = purging.finish_pending(store)
    there = set(store.blobs.digests())
    # Read after the folder: audio that is kept meanwhile has no row yet, which is no fault.
    with store.database.read() as session:
        known = set(session.scalars(select(BlobRow.digest)))
        recordings = session.scalar(select(func.count()).select_from(RecordingRow)) or 0
        faults = tuple(_row_faults(session))
    missing = sorted(one for one in known - there if not store.blobs.has(one))
    damaged = sorted(one for one in known & there if audio and not store.blobs.is_intact(one))
    return Checkup(
        recordings=recordings,
        blobs=len(known),
        orphan_blobs=tuple(sorted(there - known)),
        missing_blobs=tuple(missing),
        damaged_blobs=tuple(damaged),
        row_faults=faults,
        finished_purges=len(finished),
        removed_leftovers=store.blobs.remove_leftovers(),
    )


def _row_faults(session: Session) -> Iterator[str]:
    if session.get_bind().dialect.name == "sqlite":
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
    without = (
        select(func.count())
        .select_from(RecordingRow)
        .outerjoin(TranscriptRow, TranscriptRow.recording_id == RecordingRow.id)
        .outerjoin(RevisionRow, is_current())
        .where(
            RevisionRow.id.is_(None),
            or_(TranscriptRow.id.is_(None), TranscriptRow.current_number > 0),
        )
    )
    if count := session.scalar(without):
        yield f"{count} recordings lost their transcript."
    yield from indexing.faults(session)
