"""What routes answer with, where it is no value of the store or of ``lingting.answers``."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from fastapi import Query

from lingting.answers import Problem
from lingting.errors import OptionInvalid
from lingting.store import Batch, Glossary, HistoryPlace, Job, Revision
from lingting.store.listed import Order
from lingting.store.records import Delivery, NotePlace, Webhook

Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
After = Annotated[str | None, Query(max_length=200, description="`next` of the page before.")]


@dataclass(frozen=True, slots=True)
class JobPage:
    items: Sequence[Job]
    next: str | None


@dataclass(frozen=True, slots=True)
class BatchPage:
    items: Sequence[Batch]
    next: str | None


@dataclass(frozen=True, slots=True)
class RevisionList:
    items: Sequence[Revision]


@dataclass(frozen=True, slots=True)
class GlossaryList:
    items: Sequence[Glossary]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one uploaded file: a job, or why there is none."""

    name: str
    job: Job | None = None
    error: Problem | None = None


@dataclass(frozen=True, slots=True)
class TakenList:
    items: Sequence[Taken]


@dataclass(frozen=True, slots=True)
class UploadView:
    """A resumable upload."""

    id: str
    location: str
    state: str
    """open, done, failed or ended."""
    kind: str
    """whole, partial or final."""
    size_bytes: int
    received_bytes: int
    created_at: datetime
    expires_at: datetime
    job: Job | None
    error: Problem | None


@dataclass(frozen=True, slots=True)
class UploadList:
    items: Sequence[UploadView]


@dataclass(frozen=True, slots=True)
class WebhookList:
    items: Sequence[Webhook]


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    webhook: Webhook
    secret: str
    """Shown here and nowhere else; give it to the receiver."""


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    items: Sequence[Delivery]
    next: int | None
    """Give it as ``before`` for the next page."""


@dataclass(frozen=True, slots=True)
class Replayed:
    deliveries: int


@dataclass(frozen=True, slots=True)
class RevisionNumber:
    revision: int


@dataclass(frozen=True, slots=True)
class Status:
    version: str
    is_ready: bool
    parts: Mapping[str, Any]
    jobs: Mapping[str, int]
    """How many in each state but done."""
    workers: Sequence[Mapping[str, Any]]
    engines: Sequence[Mapping[str, Any]]


def history_text(place: HistoryPlace) -> str:
    """The place behind a recording, as text for an address."""
    key = place.key
    told = key.isoformat() if isinstance(key, datetime) else "" if key is None else repr(key)
    return _packed(place.order, told, place.id)


def parse_history(given: str | None) -> HistoryPlace | None:
    """Raises OptionInvalid for what is no ``next`` of ours."""
    if given is None:
        return None
    order, told, id = _unpacked(given, 3)
    if order in ("newest", "oldest"):
        return HistoryPlace(cast(Order, order), _time(told), id)
    if order in ("longest", "shortest"):
        return HistoryPlace(cast(Order, order), _seconds(told), id)
    if order != "name" or told:
        raise _no_place()
    return HistoryPlace("name", None, id)


def place_text(place: NotePlace) -> str:
    """The place behind a note, as text for an address."""
    at_s = "" if place.at_s is None else repr(place.at_s)
    return _packed(at_s, place.created_at.isoformat(), place.id)


def parse_place(given: str | None) -> NotePlace | None:
    """Raises OptionInvalid for what is no ``next`` of ours."""
    if given is None:
        return None
    at_s, time, id = _unpacked(given, 3)
    return NotePlace(None if not at_s else _seconds(at_s), _time(time), id)


def _packed(*parts: str) -> str:
    return base64.urlsafe_b64encode("|".join(parts).encode()).decode().rstrip("=")


def _unpacked(given: str, count: int) -> list[str]:
    try:
        raw = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode()
    except ValueError as exc:
        raise _no_place() from exc
    parts = raw.split("|", count - 1)
    if len(parts) != count or not parts[-1] or "\0" in raw:
        raise _no_place()
    return parts


def _time(given: str) -> datetime:
    """In UTC, which the edges of the calendar may lie outside of."""
    try:
        found = datetime.fromisoformat(given)
        if found.tzinfo is None:
            raise _no_place()
        return found.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise _no_place() from exc


def _seconds(given: str) -> float:
    try:
        found = float(given)
    except ValueError as exc:
        raise _no_place() from exc
    if not math.isfinite(found):
        raise _no_place()
    return found


def _no_place() -> OptionInvalid:
    return OptionInvalid("after is no place in this list.", "Give `next` of a page.")
