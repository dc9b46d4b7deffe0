"""Transcripts: read whole or by the page, corrected, and brought back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lingting.answers import SegmentPage
from lingting.errors import BodyInvalid
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.principal import Principal
from lingting.server.readings import note_read
from lingting.server.service import Service
from lingting.server.views import RevisionList, RevisionNumber
from lingting.server.visible import recording_of
from lingting.transcript import SCHEMA, Segment, Transcript

router = APIRouter(tags=["transcripts"])

_PIECE_SEGMENTS = 200

Number = Annotated[
    int | None, Query(ge=1, description="An earlier state; the current one when it is left out.")
]


@dataclass(frozen=True, slots=True)
class Correction:
    """A whole transcript in the place of the revision it was made from."""

    based_on: int
    transcript: Transcript


class Change(BaseModel):
    """What a person changes of one segment; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    position: int = Field(ge=0)
    text: str | None = Field(default=None, max_length=20_000)
    speaker: str | None = Field(default=None, max_length=200)


class Changes(BaseModel):
    model_config = ConfigDict(extra="forbid")

    based_on: int = Field(ge=1)
    segments: list[Change] = Field(min_length=1, max_length=1_000)


class Restoring(BaseModel):
    model_config = ConfigDict(extra="forbid")

    revision: int = Field(ge=1)


_CORRECTION: TypeAdapter[Correction] = TypeAdapter(Correction)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["based_on", "transcript"],
                    "properties": {
                        "based_on": {
                            "type": "integer",
                            "description": "What was read.",
                        },
                        "transcript": {"type": "object", "description": f"Schema {SCHEMA}."},
                    },
                }
            }
        },
    }
}


@router.get("/transcripts/{id}", response_class=StreamingResponse)
def show_transcript(
    service: TheService, who: Reader, id: str, revision: Number = None
) -> StreamingResponse:
    """The transcript as JSON, sent as it is read; `segments` come last. Word times are in it."""
    recording_of(service, who, id)
    number, _, head = service.store.head(id, revision)
    note_read(service, who, "transcript.read", id, revision=number)
    segments = service.store.segments(id, number)
    return StreamingResponse(
        _json(head, number, segments),
        media_type="application/json",
        headers={"ETag": f'"{id}-{number}"'},
    )


def _json(head: Transcript, number: int, segments: Iterator[Segment]) -> Iterator[bytes]:
    facts = {name: one for name, one in head.as_dict().items() if name not in ("text", "segments")}
    opening = json.dumps({**facts, "revision": number}, ensure_ascii=False)
    yield f'{opening[:-1]}, "segments": ['.encode()
    is_first = True
    while rows := list(islice(segments, _PIECE_SEGMENTS)):
        listed = ",\n".join(json.dumps(asdict(row), ensure_ascii=False) for row in rows)
        yield f"{'' if is_first else ','}\n{listed}".encode()
        is_first = False
    yield b"\n]}\n"


@router.get("/transcripts/{id}/segments")
def list_segments(
    service: TheService,
    who: Reader,
    id: str,
    start: Annotated[int, Query(ge=0, description="The first one's position.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    revision: Number = None,
) -> SegmentPage:
    """A page of segments in order."""
    recording_of(service, who, id)
    number, total, _ = service.store.head(id, revision)
    note_read(service, who, "transcript.read", id, revision=number)
    stored = service.store.segments(id, number, start=start, limit=limit)
    # pydantic reads a tuple's items past its methods, and stored words are parsed by these.
    found = [replace(one, words=one.words[:]) for one in stored]
    behind = start + len(found)
    return SegmentPage(number, total, found, behind if found and behind < total else None)


@router.get("/transcripts/{id}/revisions")
def list_revisions(service: TheService, who: Reader, id: str) -> RevisionList:
    """Every state of the transcript: by whom, when, by which model."""
    recording_of(service, who, id)
    return RevisionList(service.store.revisions(id))


@router.put("/transcripts/{id}", openapi_extra=_BODY)
async def correct(request: Request, service: TheService, who: Writer, id: str) -> RevisionNumber:
    """A person's version of the whole transcript, as a new revision.

    `based_on` is the revision that was read; 409 when somebody else was quicker.
    """
    body = await request.body()
    return await run_in_threadpool(_correct, service, who, id, body)


def _correct(service: Service, who: Principal, id: str, body: bytes) -> RevisionNumber:
    recording_of(service, who, id)
    try:
        correction = _CORRECTION.validate_json(body, strict=True)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:60]
        shown = "".join(char if char.isprintable() else "?" for char in place)
        raise BodyInvalid(f"The transcript cannot be read at {shown or 'its beginning'}.") from exc
    if not _is_finite(correction.transcript):
        raise BodyInvalid("The transcript holds a number that is not finite.")
    number = service.store.revise(
        id,
        correction.transcript,
        based_on=correction.based_on,
        author=who.user,
        actor=who.actor,
    )
    return RevisionNumber(number)


@router.patch("/transcripts/{id}")
def change(service: TheService, who: Writer, id: str, body: Changes) -> RevisionNumber:
    """Correct some segments by their positions; the others stay."""
    recording_of(service, who, id)
    wanted: dict[int, Change] = {}
    for one in body.segments:
        before = wanted.get(one.position)
        given = one.model_dump(exclude_unset=True)
        wanted[one.position] = one if before is None else before.model_copy(update=given)
    number = service.store.change_segments(
        id,
        {at: partial(_changed, change=one) for at, one in wanted.items()},
        based_on=body.based_on,
        author=who.user,
        actor=who.actor,
    )
    return RevisionNumber(number)


@router.post("/transcripts/{id}/restore")
def restore(service: TheService, who: Writer, id: str, body: Restoring) -> RevisionNumber:
    """Make an earlier state current again, as a new revision."""
    recording_of(service, who, id)
    number = service.store.restore_revision(id, body.revision, author=who.user, actor=who.actor)
    return RevisionNumber(number)


def _changed(segment: Segment, change: Change) -> Segment:
    if change.text is not None and change.text != segment.text:
        # What a person wrote is no longer linked to what was heard, span by span.
        segment = replace(segment, text=change.text, edits=(), failure=None)
    if "speaker" in change.model_fields_set:
        segment = replace(segment, speaker=change.speaker or None)
    return segment


def _is_finite(value: Any) -> bool:
    """JSON has no infinity, but Python's readers take one."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, tuple):
        return all(map(_is_finite, value))
    if hasattr(value, "__dataclass_fields__"):
        return all(_is_finite(getattr(value, one.name)) for one in fields(value))
    return True
