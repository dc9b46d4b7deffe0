"""Keys: made, listed and revoked. A secret is shown once; only its digest is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from lingting.answers import Key, MadeKey
from lingting.errors import KeyNotFound, NotAllowed
from lingting.server.accounts import Accounts
from lingting.server.asking import Anybody, TheService
from lingting.server.principal import SCOPES, Principal
from lingting.server.service import Service

router = APIRouter(tags=["keys"])

_MAX_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class KeyList:
    items: Sequence[Key]


class NewKey(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"name": "laptop", "scopes": ["read"], "days": 90}},
    )

    name: str = Field(min_length=1, max_length=60, description="What it is for.")
    scopes: list[str] = Field(default=["read", "write"], min_length=1, max_length=len(SCOPES))
    user: str | None = Field(default=None, max_length=40, description="null: oneself.")
    days: int | None = Field(default=None, ge=1, le=_MAX_DAYS, description="null: for ever.")
    limits: dict[str, float | None] | None = None


@router.get("/keys")
def list_keys(service: TheService, who: Anybody) -> KeyList:
    """One's own, those of a manager's department, or all; without their secrets."""
    return KeyList(_seen(service, who))


@router.post("/keys", status_code=201)
def make_key(service: TheService, who: Anybody, body: NewKey) -> MadeKey:
    """A key of one's own, which may do what one may do or less; of anybody for administrators.

    A key makes no other keys, unless it is an administrator's: what it may do would outlive it.
    """
    if not who.is_admin:
        if who.by.startswith("key:"):
            raise NotAllowed("A key makes no keys.", "Sign in, or ask an administrator.")
        if body.user not in (None, who.user):
            raise NotAllowed("Keys of others are made by administrators.")
        for scope in body.scopes:
            who.require(scope)
    ends = None if body.days is None else datetime.now(UTC) + timedelta(days=body.days)
    key, secret = service.access.new_key(
        body.name,
        user=body.user or who.user,
        scopes=body.scopes,
        expires_at=ends,
        limits=body.limits,
        actor=who.actor,
    )
    return MadeKey(key, secret)


@router.delete("/keys/{id}")
def revoke_key(service: TheService, who: Anybody, id: str) -> Key:
    """It works no longer, within two seconds everywhere."""
    found = next((one for one in _seen(service, who) if one.id == id), None)
    if found is None:
        raise KeyNotFound("No key has this id.")
    if who.by != f"key:{id}":  # whoever found it may at least end it
        who.require("write")
    service.access.revoke(id, actor=who.actor)
    return found


def _seen(service: Service, who: Principal) -> list[Key]:
    """The keys they look after; an administrator's is not a manager's business."""
    keys = service.access.keys()
    if who.is_admin:
        return keys
    names = {who.user}
    if who.is_manager and who.department is not None:
        names |= {
            one.name
            for one in Accounts(service.store).users()
            if one.department == who.department and one.role != "admin"
        }
    return [key for key in keys if key.user in names and not key.is_local]
