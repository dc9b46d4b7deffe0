"""Settings of the service: those that may change while it runs, and how the others are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from lingting.answers import Setting
from lingting.server.asking import Administrator, TheService
from lingting.server.service import Service

router = APIRouter(tags=["settings"])

CHANGEABLE = ("requests_per_minute", "audio_s_per_day", "stored_bytes")


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


@router.get("/settings")
def list_settings(service: TheService, who: Administrator) -> SettingList:
    """All of them, as they are in force."""
    del who
    return _listed(service)


@router.patch("/settings")
def change_settings(service: TheService, who: Administrator, body: ChangedSettings) -> SettingList:
    """Limits of everybody; in force within two seconds."""
    from lingting.store import limits

    given = {name: getattr(body, name) for name in body.model_fields_set}
    with service.store.database.write() as session:
        limits.set_for_all(session, given, actor=who.actor)
    service.access.forget_limits()
    return _listed(service)


def _listed(service: Service) -> SettingList:
    from lingting.store import limits

    with service.store.database.read() as session:
        here = limits.set_here(session)
    values = {name: getattr(service.settings, name) for name in type(service.settings).model_fields}
    values |= {name: one or 0.0 for name, one in here.items()}
    return SettingList(
        [
            Setting(name, _shown(value), name in CHANGEABLE, name in here)
            for name, value in sorted(values.items())
        ]
    )


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "set"
    return value if isinstance(value, (bool, int, float, str, dict, type(None))) else str(value)
