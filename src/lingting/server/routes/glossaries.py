"""Glossaries: names and terms to expect, of one person or for all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from lingting.errors import GlossaryNotFound, NotAllowed, OptionInvalid
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.principal import Principal
from lingting.server.views import GlossaryList
from lingting.store import Glossaries, Glossary

router = APIRouter(tags=["glossaries"])

ForAll = Annotated[bool, Query(description="The one for all, which administrators may change.")]


class NewGlossary(BaseModel):
    model_config = ConfigDict(extra="forbid")

    words: list[str]
    based_on: int = Field(default=0, ge=0, description="The revision that was read; 0: a new one.")
    for_all: bool = False
    department: str | None = Field(
        default=None, max_length=60, description="For this one: a manager's own, or any."
    )


@router.get("/glossaries")
def list_glossaries(
    service: TheService,
    who: Reader,
    everybody: Annotated[bool, Query(description="Everybody's, for administrators.")] = False,
) -> GlossaryList:
    """One's own, the department's and those for all, without their words."""
    if everybody:
        who.require("admin")
        return GlossaryList(Glossaries(service.store.database).everybodys())
    kept = Glossaries(service.store.database)
    return GlossaryList(kept.listed(owner=who.user, department=who.department))


@router.get("/glossaries/{name}")
def show_glossary(service: TheService, who: Reader, name: str) -> Glossary:
    """By name or id, with its words; one's own goes before the department's and one for all.

    An administrator reads anybody's by its id.
    """
    kept = Glossaries(service.store.database)
    try:
        return kept.get(name, owner=who.user, department=who.department)
    except GlossaryNotFound:
        if not who.is_admin:
            raise
        return kept.of_id(name)


@router.put("/glossaries/{name}")
def save_glossary(service: TheService, who: Writer, name: str, body: NewGlossary) -> Glossary:
    """Make it, or replace its words. 409 when somebody else was quicker."""
    return Glossaries(service.store.database).save(
        name,
        body.words,
        based_on=body.based_on,
        owner=_owner(who, body.for_all, body.department),
        department=body.department,
        actor=who.actor,
    )


@router.delete("/glossaries/{name}")
def delete_glossary(
    service: TheService,
    who: Writer,
    name: str,
    for_all: ForAll = False,
    department: Annotated[str | None, Query(max_length=60)] = None,
) -> Glossary:
    """Remove it; jobs that use it keep its words. The answer is what it was."""
    owner = _owner(who, for_all, department)
    return Glossaries(service.store.database).delete(
        name, owner=owner, department=department, actor=who.actor
    )


def _owner(who: Principal, for_all: bool, department: str | None) -> str | None:
    """Raises NotAllowed for what is not theirs to change."""
    if department is not None:
        if for_all:
            raise OptionInvalid("It is for all or for a department.", "Leave one of them out.")
        who.require_manager()
        if not who.is_admin and department != who.department:
            raise NotAllowed("This is another department's.")
        return None
    if for_all:
        who.require("admin")
        return None
    return who.user
