"""What a page of the history is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lingting.store.records import JobState, Recording

Order = Literal["newest", "oldest", "name", "longest", "shortest"]
ListState = JobState | Literal["none"]
"""Of the newest job; ``none``: there never was one, as of what the command line kept."""


@dataclass(frozen=True, slots=True)
class HistoryFilters:
    """Which recordings; all that is set must hold."""

    since: datetime | None = None
    """Kept then or later."""
    until: datetime | None = None
    """Kept before then."""
    language: str | None = None
    """Of the current transcript, as ``zh``."""
    speaker: str | None = None
    """Somebody who is named in the current transcript, exactly."""
    tag: str | None = None
    states: tuple[ListState, ...] = ()
    """One of these; () is any."""
    owner: str | None = None
    department: str | None = None
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class HistoryPlace:
    """Where a page ended. It holds no name: places are a part of addresses."""

    order: Order
    key: datetime | float | None
    id: str


@dataclass(frozen=True, slots=True)
class HistoryPage:
    items: Sequence[Recording]
    next: HistoryPlace | None
    """None behind the last page."""
    count: int | None = None
    """How many pass, if that was asked."""
    is_count_capped: bool = False
    """There are more than ``count``: no more were counted."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    value: str
    count: int
    """Of recordings."""


@dataclass(frozen=True, slots=True)
class Facet:
    """Values to choose from, the most frequent first."""

    items: Sequence[FacetValue]
    is_complete: bool
    """False when there are more values than are listed."""


@dataclass(frozen=True, slots=True)
class Facets:
    languages: Facet
    tags: Facet
    speakers: Facet
    owners: Facet
    departments: Facet
