"""The JSON of the service as its values; fields that only a newer one knows are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from lingting.answers import (
    HostedState,
    Machine,
    ModelState,
    Process,
    Pull,
    Samples,
    Speech,
    SpeechClip,
    SpeechSpan,
    System,
)
from lingting.store.hits import FoundPlace, FoundRecording, FoundSegment
from lingting.store.records import Attempt, Delivery, Event, Job, Recording, RecordingJob, Webhook
from lingting.transcript import Damage, Failure

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
        "since",
        "verified_at",
    }
)


def value_from(cls: type[T], row: Mapping[str, Any]) -> T:
    """Any of them whose fields are what JSON has, times, and tuples of the first."""
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: _plain(name, one) for name, one in row.items() if name in known})


def _plain(name: str, told: Any) -> Any:
    if name in _TIMES and isinstance(told, str):
        return datetime.fromisoformat(told)
    return tuple(told) if isinstance(told, list) else told


def speech_from(row: Mapping[str, Any]) -> Speech:
    spans = tuple(value_from(SpeechSpan, one) for one in row["spans"])
    clips = tuple(value_from(SpeechClip, one) for one in row["clips"])
    damage = value_from(Damage, row["damage"])
    return value_from(Speech, {**row, "spans": spans, "clips": clips, "damage": damage})


def model_from(row: Mapping[str, Any]) -> ModelState:
    hosted = tuple(value_from(HostedState, one) for one in row.get("on", ()))
    pull = row.get("pull")
    return value_from(
        ModelState, {**row, "on": hosted, "pull": None if pull is None else value_from(Pull, pull)}
    )


def system_from(row: Mapping[str, Any]) -> System:
    return System(
        value_from(Machine, row["machine"]),
        tuple(value_from(Process, one) for one in row["processes"]),
        value_from(Samples, row["samples"]),
    )


def job_from(row: Mapping[str, Any]) -> Job:
    error = row.get("error")
    return value_from(Job, {**row, "error": None if error is None else value_from(Failure, error)})


def event_from(row: Mapping[str, Any]) -> Event:
    return value_from(Event, {"owner": None, "department": None, **row})


def recording_from(row: Mapping[str, Any]) -> Recording:
    job = row.get("job")
    return value_from(Recording, {**row, "job": None if job is None else _newest_from(job)})


def _newest_from(row: Mapping[str, Any]) -> RecordingJob:
    error = row.get("error")
    told = {**row, "error": None if error is None else value_from(Failure, error)}
    return value_from(RecordingJob, told)


def found_from(row: Mapping[str, Any]) -> FoundRecording:
    recording = recording_from(row["recording"])
    hits = tuple(map(_hit_from, row["hits"]))
    return value_from(FoundRecording, {**row, "recording": recording, "hits": hits})


def _hit_from(row: Mapping[str, Any]) -> FoundSegment:
    places = tuple(value_from(FoundPlace, one) for one in row["places"])
    return value_from(FoundSegment, {**row, "places": places})


def secret_from(row: Mapping[str, Any]) -> tuple[Webhook, str]:
    """A webhook and its secret."""
    return value_from(Webhook, row["webhook"]), str(row["secret"])


def delivery_from(row: Mapping[str, Any]) -> Delivery:
    log = tuple(value_from(Attempt, one) for one in row["log"])
    return value_from(Delivery, {**row, "log": log})
