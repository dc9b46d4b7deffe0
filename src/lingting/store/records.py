"""What the store hands out: frozen values, no rows. Times of day are UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lingting.transcript import Segment

Origin = Literal["machine", "human"]


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the blob store. ``digest`` is their SHA-256, 64 hexadecimal digits."""

    digest: str
    size_bytes: int
    is_new: bool = False
    """False when the same bytes were there before."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of the history, with what is shown about its current transcript."""

    id: str
    name: str
    digest: str
    size_bytes: int
    duration_s: float
    sample_rate_hz: int | None
    channels: int | None
    created_at: datetime
    deleted_at: datetime | None
    owner: str | None
    department: str | None
    language: str | None
    revision: int
    segments: int
    excerpt: str
    """How the transcript begins, at most 120 characters."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a recording that was to be kept."""

    recording: Recording
    is_new: bool
    """False when the same audio was there under the same name."""
    is_new_revision: bool
    """False when that recording also had this very transcript."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a transcript, by whom and when. Numbers begin with 1 and have no holes."""

    number: int
    origin: Origin
    author: str | None
    created_at: datetime
    restored_from: int | None
    segments: int
    model: str | None
    is_current: bool


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of the history ended; the next one begins behind it."""

    created_at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A segment of a current transcript that holds what was searched."""

    recording_id: str
    recording_name: str
    position: int
    segment: Segment
    segment_id: int
    """With ``position`` the place to go on from, see ``Store.search``."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a recording was purged; holds nothing of what it said or was called."""

    id: int
    recording_id: str
    digest: str
    purged_at: datetime
    author: str | None
    revisions: int
    segments: int
    audio: Literal["pending", "removed", "shared"]
    """``shared``: other recordings have the same audio, so it stays. ``pending``: the program was
    ended in between; ``check`` finishes it."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """What ``check`` found. Empty lists everywhere in a healthy store."""

    recordings: int
    blobs: int
    orphan_blobs: tuple[str, ...] = ()
    """Audio no row knows: left by a crash between blob and row, taken up when it is kept again."""
    missing_blobs: tuple[str, ...] = ()
    damaged_blobs: tuple[str, ...] = ()
    row_faults: tuple[str, ...] = ()
    """Sentences of the database's own check, and of ours."""
    finished_purges: int = 0
    removed_leftovers: int = 0
    """Half-written files of processes that are gone."""

    @property
    def is_healthy(self) -> bool:
        """Nothing was lost; orphans are no loss."""
        return not (self.missing_blobs or self.damaged_blobs or self.row_faults)
