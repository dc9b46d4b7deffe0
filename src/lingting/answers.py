"""What a service answers, where it is not a value of the store: the same to routes and clients.

Lists are any sequence in the service; a client makes tuples of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lingting.store.records import AuditEntry, Limits, Note, Recording, Role, Share
from lingting.transcript import Segment

# Recordings ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordingPage:
    items: Sequence[Recording]
    next: str | None
    """Give it as ``after`` for the next page; None behind the last."""
    count: int | None = None
    """How many pass the filters, where that was asked."""
    is_count_capped: bool = False
    """There are more than ``count``."""


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    message: str
    next_step: str
    incident: str | None = None


@dataclass(frozen=True, slots=True)
class BulkItem:
    """What became of one recording."""

    id: str
    is_done: bool
    error: Problem | None = None


@dataclass(frozen=True, slots=True)
class BulkResult:
    items: Sequence[BulkItem]
    done: int
    refused: int


@dataclass(frozen=True, slots=True)
class ShareList:
    items: Sequence[Share]


@dataclass(frozen=True, slots=True)
class NotePage:
    items: Sequence[Note]
    next: str | None
    """Give it as ``after`` for the next page; None behind the last."""


@dataclass(frozen=True, slots=True)
class SegmentPage:
    revision: int
    total: int
    """Segments of the whole transcript."""
    items: Sequence[Segment]
    next: int | None
    """Give it as ``start`` for the next page; None behind the last."""


# People and keys -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class User:
    """A user without what only signing in needs."""

    name: str
    department: str | None
    role: Role
    scopes: Sequence[str]
    created_at: datetime
    disabled_at: datetime | None
    has_password: bool
    has_single_sign_on: bool = False
    limits: Mapping[str, float | None] = field(default_factory=dict)
    """Those that are not everybody's."""


@dataclass(frozen=True, slots=True)
class Me:
    """Who is asking, and how much of what is limited they have taken."""

    user: str
    by: str
    role: Role
    scopes: Sequence[str]
    department: str | None
    limits: Limits
    used: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret, which is shown once and never kept."""

    id: str
    name: str
    user: str
    scopes: Sequence[str]
    created_at: datetime
    role: Role = "service"
    """The most that it reaches: its user's when it was made."""
    limits: Mapping[str, float | None] = field(default_factory=dict)
    is_local: bool = False
    """Made by the service for the programs of its own user on this machine."""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    """To the hour."""


@dataclass(frozen=True, slots=True)
class MadeKey:
    key: Key
    secret: str
    """Shown this once; nobody can find it out again."""


# The service -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    value: Any
    """As it is in force; a secret is only told to be there."""
    is_changeable: bool
    is_set_here: bool
    """Set by the API, and so before what the program was started with."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Rules in order; the first that fits a recording decides. And what they would do now."""

    rules: Sequence[Mapping[str, Any]]
    due_to_delete: int
    due_to_purge: int
    held: int
    """Recordings whose time is over and that stay for a legal hold."""


@dataclass(frozen=True, slots=True)
class AuditPage:
    items: Sequence[AuditEntry]
    next: int | None
    """Give it as ``before`` for the next page; None behind the last."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What reading the whole trail showed."""

    is_whole: bool
    rows: int
    """How many are as they were written, from the first on."""
    anchor: str
    """The newest id and digest, to be kept elsewhere and given next time."""
    bad_id: int | None
    """The first row that is not as it was written, or is not there."""
    reason: str


@dataclass(frozen=True, slots=True)
class ModelState:
    id: str
    task: str | None
    """None for a model that a host serves and the catalogue does not list."""
    languages: Sequence[str]
    licence: str | None
    size_bytes: int | None
    installed: str
    """On the machine of the web process: installed, missing, partial or changed."""
    hosts: Sequence[str]
    """What each engine host that has it says: ready, loading, idle, failed …"""
    waiting_s: float
    """Seconds of audio that wait for it."""
