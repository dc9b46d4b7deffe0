"""Shares: who else may read a recording.

Whoever may change it shares it, and ends that. Those it is shared with sign in as ever and open it
by its id; they change nothing.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lingting.answers import ShareList
from lingting.errors import NotAllowed
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.service import Service
from lingting.server.visible import recording_of
from lingting.store import Share, Shares
from lingting.store.sharing import MAX_DAYS

router = APIRouter(tags=["shares"])


class Addressee(BaseModel):
    """A user, or a department."""

    model_config = ConfigDict(extra="forbid")

    user: str | None = Field(default=None, min_length=1, max_length=60, examples=["wang"])
    department: str | None = Field(default=None, min_length=1, max_length=60, examples=[None])

    @model_validator(mode="after")
    def _is_one(self) -> Addressee:
        if (self.user is None) == (self.department is None):
            raise ValueError("one of the two")
        return self


class NewShare(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: Addressee | Literal["everyone"] = Field(
        description="`everyone`: all people who can sign in.", examples=["everyone"]
    )
    expires_days: int | None = Field(
        default=None, ge=1, le=MAX_DAYS, description="Until it is taken back when left out."
    )


@router.post("/recordings/{id}/shares", status_code=201)
def share(service: TheService, who: Writer, id: str, body: NewShare) -> Share:
    """Let a user, a department or everyone read it; who has a share already gets the new end."""
    recording_of(service, who, id)
    shares, days = _shares(service), body.expires_days
    if body.to == "everyone":
        return shares.add(id, "everyone", days=days, made_by=who.user, actor=who.actor)
    if body.to.user is not None:
        return shares.add(id, "user", body.to.user, days=days, made_by=who.user, actor=who.actor)
    name = body.to.department
    return shares.add(id, "department", name, days=days, made_by=who.user, actor=who.actor)


@router.get("/recordings/{id}/shares")
def list_shares(service: TheService, who: Reader, id: str) -> ShareList:
    """Those in force, the newest first. Whoever reads it by a share is not told of the others."""
    found = recording_of(service, who, id)
    if not who.may_see(found.owner, found.department):
        raise NotAllowed("Whom else it is shared with is for those whose it is.")
    return ShareList(_shares(service).listed(id))


@router.delete("/recordings/{id}/shares/{share}")
def end_share(service: TheService, who: Writer, id: str, share: str) -> Share:
    """Nobody reads it by this share any more; the answer is what it was."""
    recording_of(service, who, id)
    return _shares(service).end(id, share, actor=who.actor)


def _shares(service: Service) -> Shares:
    return Shares(service.store.database)
