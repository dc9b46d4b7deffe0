"""What a search is given and hands out: frozen values, no rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from lingting.store.records import Recording


@dataclass(frozen=True, slots=True)
class SearchFilters:
    """Which recordings and segments count; None: all."""

    since: datetime | None = None
    """When the recording was kept: then or later."""
    until: datetime | None = None
    """Before then."""
    language: str | None = None
    """Of the segment, as ``zh``."""
    speaker: str | None = None
    """Of the segment, exactly."""
    tag: str | None = None
    owner: str | None = None
    department: str | None = None
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    min_confidence: float | None = None
    """Of the segment; one whose confidence nobody knows does not count then."""

    @property
    def is_of_segments(self) -> bool:
        """Something is asked that only segments have."""
        return any(one is not None for one in (self.language, self.speaker, self.min_confidence))


@dataclass(frozen=True, slots=True)
class FoundPlace:
    """A piece of a segment's text that matches: ``text[start:end]``, in code points."""

    start: int
    end: int
    start_s: float | None
    """When it was said, where its words have times."""
    end_s: float | None


@dataclass(frozen=True, slots=True)
class FoundSegment:
    """A segment that holds what was searched."""

    position: int
    """In the current revision, as ``Store.segments`` counts."""
    start_s: float
    end_s: float
    at_s: float
    """Where a player begins: at the first matching word, or with the segment."""
    text: str
    language: str | None
    speaker: str | None
    confidence: float | None
    places: Sequence[FoundPlace] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class FoundRecording:
    """A recording with its best hits: those with the most places, then the earliest."""

    recording: Recording
    hits: Sequence[FoundSegment]
    count: int
    """How many of its segments match."""
    is_count_capped: bool
    """There may be more than ``count``: no more were looked at."""


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A page of a search, the newest recordings first."""

    items: Sequence[FoundRecording]
    next: str | None
    """Give it as ``after`` for the next page; None behind the last."""
    count: int | None
    """How many segments match, on a first page; None on later ones."""
    is_count_capped: bool
    """There are more than ``count``."""
    is_complete: bool
    """False when the search stopped at its limit of work before the page was full, or the index is
    being made: ``next`` goes on."""
    read_as: Literal["given", "words"]
    """``words``: nothing holds the Chinese in one piece, so its words were searched one by one."""
    named: Sequence[Recording] = field(default_factory=tuple)
    """Recordings whose name holds what was typed and that are not among the items, the newest
    first; on a first page, and only where nothing is asked of segments."""
