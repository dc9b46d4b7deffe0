"""The JSON of the service as its values; fields that only a newer one knows are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from lingting.store.hits import FoundPlace, FoundRecording, FoundSegment
from lingting.store.records import (
    Attempt,
    Batch,
    Delivery,
    Event,
    Glossary,
    Job,
    Recording,
    Webhook,
)
from lingting.transcript import Failure

T = TypeVar("T")

_TIMES = frozenset(
    {
        "created_at",
        "started_at",
        "finished_at",
        "deleted_at",
        "purged_at",
        "at",
        "changed_at",
        "failing_since",
        "disabled_at",
        "old_secret_until",
        "next_at",
        "held_at",
        "expires_at",
        "last_used_at",
    }
)


def value_from(cls: type[T], row: Mapping[str, Any]) -> T:
    """Any of them whose fields are what JSON has, and times."""
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    return cls(
        **{
            name: datetime.fromisoformat(one) if name in _TIMES and one is not None else one
            for name, one in row.items()
            if name in known
        }
    )


def job_from(row: Mapping[str, Any]) -> Job:
    error = row.get("error")
    return value_from(Job, {**row, "error": None if error is None else Failure(**error)})


def batch_from(row: Mapping[str, Any]) -> Batch:
    return value_from(Batch, row)


def event_from(row: Mapping[str, Any]) -> Event:
    return value_from(Event, {"owner": None, "department": None, **row})


def recording_from(row: Mapping[str, Any]) -> Recording:
    return value_from(Recording, {**row, "tags": tuple(row["tags"])})


def found_from(row: Mapping[str, Any]) -> FoundRecording:
    hits = tuple(
        value_from(
            FoundSegment,
            {**hit, "places": tuple(value_from(FoundPlace, one) for one in hit["places"])},
        )
        for hit in row["hits"]
    )
    return value_from(
        FoundRecording, {**row, "recording": recording_from(row["recording"]), "hits": hits}
    )


def glossary_from(row: Mapping[str, Any]) -> Glossary:
    words = row["words"]
    return value_from(Glossary, {**row, "words": None if words is None else tuple(words)})


def webhook_from(row: Mapping[str, Any]) -> Webhook:
    return value_from(Webhook, {**row, "events": tuple(row["events"])})


def secret_from(row: Mapping[str, Any]) -> tuple[Webhook, str]:
    return webhook_from(row["webhook"]), str(row["secret"])


def delivery_from(row: Mapping[str, Any]) -> Delivery:
    return value_from(
        Delivery, {**row, "log": tuple(value_from(Attempt, one) for one in row["log"])}
    )
