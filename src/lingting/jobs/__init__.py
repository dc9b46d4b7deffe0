"""Durable work: recordings that are given today and transcribed whatever happens meanwhile.

>>> from lingting.jobs import Desk, JobOptions
>>> from lingting.store import open_store
>>> with open_store() as store:
...     desk = Desk(store)
...     job = desk.submit(Path("talk.mp3"), name="talk.mp3", options=JobOptions(language="zh"))

``Desk`` only writes rows, and needs neither an engine nor DBOS; a worker (``jobs.worker``) finds
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lingting.jobs.options import JobOptions
from lingting.store.records import Batch, Event, Job, JobState, Priority, WorkerState

if TYPE_CHECKING:
    from lingting.jobs.desk import Desk
    from lingting.jobs.folders import FolderWatch

__all__ = [
    "Batch",
    "Desk",
    "Event",
    "FolderWatch",
    "Job",
    "JobOptions",
    "JobState",
    "Priority",
    "WorkerState",
]


def __getattr__(name: str) -> Any:
    if name == "Desk":
        from lingting.jobs.desk import Desk

        return Desk
    if name == "FolderWatch":
        from lingting.jobs.folders import FolderWatch

        return FolderWatch
    raise AttributeError(f"module 'lingting.jobs' has no attribute {name!r}")
