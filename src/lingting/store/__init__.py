"""The history: recordings, their audio, and transcripts with every revision.

>>> from lingting.store import open_store
>>> with open_store() as store:
...     for recording in store.recordings(limit=10):
...         print(recording.id, recording.name, recording.excerpt)

SQLAlchemy is imported when a store is opened, not before. Which tables there are and which come
later is in ``schema``; what a crash can leave behind is in ``store``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lingting.store.hits import (
    FoundPlace,
    FoundRecording,
    FoundSegment,
    SearchFilters,
    SearchPage,
)
from lingting.store.listed import (
    Facet,
    Facets,
    FacetValue,
    HistoryFilters,
    HistoryPage,
    HistoryPlace,
)
from lingting.store.records import (
    Actor,
    AuditEntry,
    Batch,
    Blob,
    Checkup,
    Cursor,
    Event,
    Glossary,
    Job,
    Kept,
    Note,
    Receipt,
    Recording,
    RecordingJob,
    Revision,
    Share,
    SharedWith,
    Sight,
    WorkerState,
)

if TYPE_CHECKING:
    from lingting.store.backup import restore
    from lingting.store.blobs import open_blobs
    from lingting.store.glossaries import Glossaries
    from lingting.store.history import History
    from lingting.store.notes import Notes
    from lingting.store.opening import open_store
    from lingting.store.retention import RetentionReport, RetentionRule
    from lingting.store.search import Search
    from lingting.store.sharing import Shares
    from lingting.store.store import Store, all_recordings, cursor_of

__all__ = [
    "Actor",
    "AuditEntry",
    "Batch",
    "Blob",
    "Checkup",
    "Cursor",
    "Event",
    "Facet",
    "FacetValue",
    "Facets",
    "FoundPlace",
    "FoundRecording",
    "FoundSegment",
    "Glossaries",
    "Glossary",
    "History",
    "HistoryFilters",
    "HistoryPage",
    "HistoryPlace",
    "Job",
    "Kept",
    "Note",
    "Notes",
    "Receipt",
    "Recording",
    "RecordingJob",
    "RetentionReport",
    "RetentionRule",
    "Revision",
    "Search",
    "SearchFilters",
    "SearchPage",
    "Share",
    "SharedWith",
    "Shares",
    "Sight",
    "Store",
    "WorkerState",
    "all_recordings",
    "cursor_of",
    "open_blobs",
    "open_store",
    "restore",
]


_HOMES = {
    "Glossaries": "glossaries",
    "History": "history",
    "Notes": "notes",
    "RetentionReport": "retention",
    "RetentionRule": "retention",
    "Search": "search",
    "Shares": "sharing",
    "Store": "store",
    "all_recordings": "store",
    "cursor_of": "store",
    "open_blobs": "blobs",
    "open_store": "opening",
    "restore": "backup",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lingting.store' has no attribute {name!r}")
    return getattr(import_module(f"lingting.store.{_HOMES[name]}"), name)
