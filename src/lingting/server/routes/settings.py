"""Settings of the service: those that may change while it runs, and how the others are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from lingting.answers import Setting
from lingting.config import allowed
from lingting.errors import ModelNotInstalled, ModelUnknown
from lingting.server.asking import Administrator, TheService
from lingting.server.engines import Seen
from lingting.server.health import WORKER_SILENCE_S
from lingting.server.principal import Principal
from lingting.server.service import Service

router = APIRouter(tags=["settings"])

LIMITS = ("requests_per_minute", "audio_s_per_day", "stored_bytes")
_AUTO = "auto"


@dataclass(frozen=True, slots=True)
class SettingList:
    items: Sequence[Setting]


class ChangedSettings(BaseModel):
    """What is left out stays; null takes back what was set here; 0 is no limit."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"requests_per_minute": 600}}
    )

    requests_per_minute: float | None = Field(default=None, ge=0, le=1e15)
    audio_s_per_day: float | None = Field(default=None, ge=0, le=1e15)
    stored_bytes: float | None = Field(default=None, ge=0, le=1e15)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    device: str | None = Field(default=None, min_length=1, max_length=20)
    compute: str | None = Field(default=None, min_length=1, max_length=20)
    threads: int | None = Field(default=None, ge=1, le=1024)
    engine_batch_s: float | None = Field(default=None, ge=1, le=3600)
    engine_queue_s: float | None = Field(default=None, gt=0, le=1e9)
    worker_slots: int | None = Field(default=None, ge=1, le=1024)
    readers: int | None = Field(default=None, ge=1, le=256)
    max_duration_s: float | None = Field(default=None, gt=0, le=1e9)
    max_upload_bytes: int | None = Field(default=None, ge=1024, le=1 << 50)


_NAMES = tuple(ChangedSettings.model_fields)
"""Two who change several take the locks of the rows in one order."""


@router.get("/settings")
async def list_settings(service: TheService, who: Administrator) -> SettingList:
    """All of them, as they are in force; what applies when, and what waits for a restart."""
    del who
    seen = await service.engines.look()
    return await asyncio.to_thread(_listed, service, seen)


@router.patch("/settings")
async def change_settings(
    service: TheService, who: Administrator, body: ChangedSettings
) -> SettingList:
    """Limits of everybody work within two seconds; the others when their processes start again."""
    given = {name: getattr(body, name) for name in _NAMES if name in body.model_fields_set}
    seen = await service.engines.look()
    if given.get("model") not in (None, _AUTO):
        await asyncio.to_thread(_check_model, service, seen, given["model"])
    await asyncio.to_thread(_change, service, who, given)
    return await asyncio.to_thread(_listed, service, seen)


def _change(service: Service, who: Principal, given: Mapping[str, Any]) -> None:
    """All of them, or none."""
    from lingting.store import chosen, limits

    of_users = {name: one for name, one in given.items() if name in LIMITS}
    of_processes = chosen.parse({n: one for n, one in given.items() if n not in LIMITS})
    with service.store.database.write() as session:
        if of_users:
            limits.set_for_all(session, of_users, actor=who.actor)
        if of_processes:
            chosen.choose(session, of_processes, actor=who.actor)
    service.access.forget_limits()


def _check_model(service: Service, seen: Sequence[Seen], name: str) -> None:
    """Raises what would keep an engine from starting: it would be the default from then on."""
    from lingting.engines.registry import RECOGNISERS, check_packages, kind_of
    from lingting.models import Library, Status, catalogue

    if service.settings.engines:  # they were started with what they have
        if not any(name in one.hosted() for one in seen):
            raise ModelUnknown("No engine host has this model.", "Start one with it first.")
        return
    ours = [one.model for one in RECOGNISERS]
    library = Library(catalogue(), service.settings.models_dir)
    if name not in library.catalogue or library.model(name).id not in ours:
        raise ModelUnknown(
            "This version has no recogniser of that name.", f"Use auto or one of {', '.join(ours)}."
        )
    if library.status(name) not in (Status.INSTALLED, Status.CHANGED):
        raise ModelNotInstalled(
            "The model is not installed.", f"POST /api/v1/models/{library.model(name).id}/pull."
        )
    check_packages(kind_of(library.model(name).id))


def _listed(service: Service, seen: Sequence[Seen]) -> SettingList:
    from lingting.store import chosen, limits

    with service.store.database.read() as session:
        here = limits.set_here(session)
        choices = chosen.chosen(session)
    started = _started(service, seen)
    values = {name: getattr(service.settings, name) for name in type(service.settings).model_fields}
    values |= {name: one or 0.0 for name, one in here.items()}
    return SettingList(
        [
            _limit(name, value, name in here)
            if name in LIMITS
            else _process_setting(name, value, choices.get(name), started)
            for name, value in sorted(values.items())
        ]
    )


def _limit(name: str, value: Any, is_set_here: bool) -> Setting:
    stored = value if is_set_here else None
    return Setting(
        name, _shown(value), True, is_set_here, "at_once", ("web",), allowed(name), False, stored
    )


def _process_setting(
    name: str,
    value: Any,
    choice: tuple[Any, datetime] | None,
    started: Mapping[str, datetime | None],
) -> Setting:
    from lingting.store.chosen import PROCESSES

    processes = PROCESSES.get(name, ())
    if not processes:
        return Setting(name, _shown(value), False, False, "start", (), allowed(name))
    if choice is None:
        return Setting(name, _shown(value), True, False, "restart", processes, allowed(name))
    stored, at = choice
    since = [one for process in processes if (one := started[process]) is not None]
    is_pending = any(one < at for one in since)
    in_force = value if is_pending or stored is None else stored
    return Setting(
        name, _shown(in_force), True, stored is not None, "restart", processes, allowed(name),
        is_pending, stored, at,
    )  # fmt: skip


def _started(service: Service, seen: Sequence[Seen]) -> dict[str, datetime | None]:
    """When the processes of each kind started, the first of them; None where none is there."""
    now = datetime.now(UTC)
    ups_s = [one.state().up_s for one in seen]
    engines = [now - timedelta(seconds=up_s) for up_s in ups_s if up_s is not None]
    workers = [
        one.started_at
        for one in service.desk.workers()
        if one.is_live and time.time() - one.seen_at.timestamp() < WORKER_SILENCE_S
    ]
    return {
        "engine": min(engines, default=None),
        "worker": min(workers, default=None),
        "web": service.started_at,
    }


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "set"
    return value if isinstance(value, (bool, int, float, str, dict, type(None))) else str(value)
