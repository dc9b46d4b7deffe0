"""How long recordings stay, and which must stay: rules, and legal holds."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from lingting.answers import Retention
from lingting.server.asking import Administrator, TheService, Writer
from lingting.server.service import Service
from lingting.server.visible import recording_of
from lingting.store import Recording

router = APIRouter(tags=["retention"])


class NewRetention(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "rules": [
                    {"tag": "contract"},
                    {"department": "sales", "delete_after_days": 30, "purge_after_days": 7},
                    {"delete_after_days": 365, "purge_after_days": 30},
                ]
            }
        },
    )

    rules: list[dict[str, Any]] = Field(max_length=100)


@router.get("/retention")
def show_retention(service: TheService, who: Administrator) -> Retention:
    """The rules, and how many recordings are due."""
    del who
    return _retention(service)


@router.put("/retention")
def set_retention(service: TheService, who: Administrator, body: NewRetention) -> Retention:
    """Take the place of all rules. A worker applies them; `held` recordings stay."""
    from lingting.store.retention import parse_rules

    service.store.set_retention(parse_rules(body.rules), actor=who.actor)
    return _retention(service)


@router.post("/recordings/{id}/hold")
def hold(service: TheService, who: Writer, id: str) -> Recording:
    """A legal hold: the recording can neither be deleted nor purged. For managers."""
    recording_of(service, who, id)
    who.require_manager()
    return service.store.hold(id, author=who.user, actor=who.actor)


@router.post("/recordings/{id}/release")
def release(service: TheService, who: Writer, id: str) -> Recording:
    """End a legal hold. For managers."""
    recording_of(service, who, id)
    who.require_manager()
    return service.store.release(id, actor=who.actor)


def _retention(service: Service) -> Retention:
    rules = [rule.as_dict() for rule in service.store.retention()]
    deletes, purges, held = service.store.due()
    return Retention(rules, deletes, purges, held)
