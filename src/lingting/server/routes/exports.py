"""Transcripts as files: every format that the command line writes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from lingting.server.access import Principal
from lingting.server.asking import Reader, TheService
from lingting.server.downloads import disposition
from lingting.server.readings import note_given
from lingting.server.routes.transcripts import Number
from lingting.server.service import Service
from lingting.server.visible import recording_of
from lingting.text.writers import FORMATS, write

router = APIRouter(tags=["exports"])

Format = StrEnum("Format", {name: name for name in FORMATS})  # type: ignore[misc]


@router.get("/exports/{id}/{format}", response_class=Response)
async def export(
    service: TheService,
    who: Reader,
    id: str,
    format: Format,
    revision: Number = None,
    words: bool = False,
) -> Response:
    """The transcript as a file, named after the recording. `words` times every word where the
    format has a place for it."""
    async with service.exporting:  # the others wait here, and not in the threads of the routes
        return await run_in_threadpool(_export, service, who, id, format, revision, words)


def _export(
    service: Service, who: Principal, id: str, format: Format, revision: int | None, words: bool
) -> Response:
    recording = recording_of(service, who, id)
    chosen = FORMATS[format.value]
    title = "".join(char for char in Path(recording.name).stem if char.isprintable())
    note_given(service, who, "transcript.exported", recording.id, format=chosen.name)
    transcript = service.store.transcript(id, revision)
    data = write(transcript, chosen.name, words=words, title=title)
    name = disposition(recording.name, suffix=chosen.suffix)
    return Response(data, media_type=chosen.mime, headers={"Content-Disposition": name})
