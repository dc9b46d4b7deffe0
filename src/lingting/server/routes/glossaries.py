"""Glossaries: names and terms to expect, of one person or for all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from lingting.server.access import Principal
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.views import GlossaryList
from lingting.store import Glossaries, Glossary

router = APIRouter(tags=["glossaries"])

ForAll = Annotated[bool, Query(description="The one for all, which administrators may change.")]


class NewGlossary(BaseModel):
    model_config = ConfigDict(extra="forbid")

    words: list[str]
    based_on: int = Field(default=0, ge=0, description="The revision that was read; 0: a new one.")
    for_all: bool = False


@router.get("/glossaries")
def list_glossaries(service: TheService, who: Reader) -> GlossaryList:
    """One's own and those for all, without their words."""
    kept = Glossaries(service.store.database)
    return GlossaryList(kept.listed(owner=who.user, department=who.department))


@router.get("/glossaries/{name}")
def show_glossary(service: TheService, who: Reader, name: str) -> Glossary:
    """By name or id, with its words; one's own goes before one for all."""
    return Glossaries(service.store.database).get(name, owner=who.user, department=who.department)


@router.put("/glossaries/{name}")
def save_glossary(service: TheService, who: Writer, name: str, body: NewGlossary) -> Glossary:
    """Make it, or replace its words. 409 when somebody else was quicker."""
    return Glossaries(service.store.database).save(
        name,
        body.words,
        based_on=body.based_on,
        owner=_owner(who, body.for_all),
        actor=who.actor,
    )


@router.delete("/glossaries/{name}")
def delete_glossary(
    service: TheService, who: Writer, name: str, for_all: ForAll = False
) -> Glossary:
    """Remove it; jobs that use it keep its words. The answer is what it was."""
    return Glossaries(service.store.database).delete(
        name, owner=_owner(who, for_all), actor=who.actor
    )


def _owner(who: Principal, for_all: bool) -> str | None:
    if for_all:
        who.require("admin")
        return None
    return who.user
