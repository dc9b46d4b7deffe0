"""Transcripts as files: every format that the command line writes."""

from __future__ import annotations

import threading
from enum import StrEnum
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from lingting.server.asking import Reader, TheService
from lingting.server.downloads import disposition
from lingting.server.readings import note_given
from lingting.server.routes.transcripts import Number
from lingting.server.visible import recording_of
from lingting.text.writers import FORMATS, write

router = APIRouter(tags=["exports"])

_AT_ONCE = threading.Semaphore(2)
"""A writer has the whole transcript in memory."""

Format = StrEnum("Format", {name: name for name in FORMATS})  # type: ignore[misc]


@router.get("/exports/{id}/{format}", response_class=Response)
def export(
    service: TheService,
    who: Reader,
    id: str,
    format: Format,
    revision: Number = None,
    words: bool = False,
) -> Response:
    """The transcript as a file, named after the recording. `words` times every word where the
    format has a place for it."""
    recording = recording_of(service, who, id)
    chosen = FORMATS[format.value]
    title = "".join(char for char in Path(recording.name).stem if char.isprintable())
    note_given(service, who, "transcript.exported", recording.id, format=chosen.name)
    with _AT_ONCE:
        transcript = service.store.transcript(id, revision)
        data = write(transcript, chosen.name, words=words, title=title)
    name = disposition(recording.name, suffix=chosen.suffix)
    return Response(data, media_type=chosen.mime, headers={"Content-Disposition": name})
