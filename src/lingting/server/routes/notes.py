"""Notes on recordings: about the whole, about a moment or a stretch.

Who sees a recording reads its notes; who may change it writes them.
"""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from lingting.answers import NotePage
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.readings import note_read
from lingting.server.service import Service
from lingting.server.views import After, Limit, parse_place, place_text
from lingting.server.visible import recording_of
from lingting.store import Note, Notes
from lingting.store.notes import MAX_TEXT_CHARS, place_of

router = APIRouter(tags=["notes"])

_TEXT = f"1 to {MAX_TEXT_CHARS} characters; lines stay."
_AT = "Seconds in the recording; null: about the whole of it."
_END = "Where the stretch ends, behind `at_s`; null: about a moment."


class NewNote(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(description=_TEXT, examples=["客户要求退款"])
    at_s: float | None = Field(default=None, description=_AT, examples=[61.2])
    end_s: float | None = Field(default=None, description=_END, examples=[64.0])


class NoteChange(BaseModel):
    """What is left out stays."""

    model_config = ConfigDict(extra="forbid")

    based_on: int = Field(ge=1, description="The revision that was read.")
    text: str | None = Field(default=None, description=_TEXT, examples=["客户要求退款"])
    at_s: float | None = Field(default=None, description=_AT, examples=[61.2])
    end_s: float | None = Field(default=None, description=_END, examples=[64.0])


@router.get("/recordings/{id}/notes")
def list_notes(
    service: TheService, who: Reader, id: str, limit: Limit = 50, after: After = None
) -> NotePage:
    """A page in order of time, those about the whole recording first."""
    recording_of(service, who, id)
    place = parse_place(after)
    note_read(service, who, "notes.read", id)
    found = _notes(service).listed(id, limit=limit, after=place)
    return NotePage(found, place_text(place_of(found[-1])) if len(found) == limit else None)


@router.post("/recordings/{id}/notes", status_code=201)
def add_note(service: TheService, who: Writer, id: str, body: NewNote) -> Note:
    """About the whole recording, about the moment `at_s`, or from there to `end_s`."""
    recording_of(service, who, id)
    return _notes(service).add(
        id, body.text, at_s=body.at_s, end_s=body.end_s, author=who.user, actor=who.actor
    )


@router.get("/recordings/{id}/notes/{note}")
def show_note(service: TheService, who: Reader, id: str, note: str, response: Response) -> Note:
    """One note, and its revision."""
    recording_of(service, who, id)
    found = _notes(service).get(id, note)
    note_read(service, who, "notes.read", id)
    response.headers["ETag"] = f'"{found.id}-{found.revision}"'
    return found


@router.patch("/recordings/{id}/notes/{note}")
def change_note(service: TheService, who: Writer, id: str, note: str, body: NoteChange) -> Note:
    """Another text, another place; what is left out stays, and null takes a time away.

    `based_on` is the revision that was read; 409 when somebody else was quicker.
    """
    recording_of(service, who, id)
    there = _notes(service).get(id, note)
    given = body.model_fields_set
    return _notes(service).change(
        id,
        note,
        there.text if body.text is None else body.text,
        at_s=body.at_s if "at_s" in given else there.at_s,
        end_s=body.end_s if "end_s" in given else there.end_s,
        based_on=body.based_on,
        actor=who.actor,
    )


@router.delete("/recordings/{id}/notes/{note}")
def delete_note(service: TheService, who: Writer, id: str, note: str) -> Note:
    """For good; the answer is what it was."""
    recording_of(service, who, id)
    return _notes(service).remove(id, note, actor=who.actor)


def _notes(service: Service) -> Notes:
    return Notes(service.store.database)
