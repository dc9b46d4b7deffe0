"""Transcripts as files: every format that the command line writes; one, or many in a ZIP."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import IO, Literal

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from lingting.errors import BodyInvalid
from lingting.server import bundles
from lingting.server.asking import Reader, TheService
from lingting.server.downloads import FileStream, disposition
from lingting.server.principal import Principal
from lingting.server.readings import note_given
from lingting.server.routes.jobs import check_batch
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


class Many(BaseModel):
    """Which transcripts, and as what."""

    model_config = ConfigDict(extra="forbid")

    batch: str | None = Field(default=None, max_length=40)
    recordings: list[str] = Field(default=[], max_length=bundles.MOST_RECORDINGS)
    formats: list[Format] = Field(
        default=[Format("txt")], min_length=1, max_length=len(FORMATS), examples=[["srt", "docx"]]
    )
    words: bool = False


@router.post("/exports", response_class=Response)
async def export_many(service: TheService, who: Reader, body: Many) -> Response:
    """A ZIP of many: those of a batch, or those that are named; `index.csv` says what is in it."""
    if (body.batch is None) != bool(body.recordings):
        raise BodyInvalid("Name a batch, or recordings.", "Give one of the two.")
    async with service.exporting:
        file = await run_in_threadpool(_zip, service, who, body)
    headers = {"Content-Disposition": disposition(body.batch or "transcripts", suffix=".zip")}
    return FileStream(file, 200, headers, "application/zip")


def _zip(service: Service, who: Principal, body: Many) -> IO[bytes]:
    if body.batch is not None:
        check_batch(service, who, body.batch)
        found = bundles.of_batch(service, who, body.batch)
    else:
        found = bundles.of_recordings(service, who, body.recordings)
    formats = [one.value for one in dict.fromkeys(body.formats)]
    return bundles.write_zip(found, service.settings.data_folder, formats, words=body.words)


@router.get("/batches/{id}/table/{form}", response_class=Response)
async def export_table(
    service: TheService, who: Reader, id: str, form: Literal["csv", "json"]
) -> Response:
    """A line for each recording of a batch: what became of it, and its text."""
    async with service.exporting:
        file = await run_in_threadpool(_table, service, who, id, form)
    kind = {"csv": "text/csv; charset=utf-8", "json": "application/json"}[form]
    headers = {"Content-Disposition": disposition(id, suffix=f".{form}")}
    return FileStream(file, 200, headers, kind)


def _table(service: Service, who: Principal, id: str, form: str) -> IO[bytes]:
    check_batch(service, who, id)
    write_table = {"csv": bundles.write_csv, "json": bundles.write_json}[form]
    return write_table(bundles.of_batch(service, who, id), service.settings.data_folder)


def _export(
    service: Service, who: Principal, id: str, format: Format, revision: int | None, words: bool
) -> Response:
    recording = recording_of(service, who, id)
    chosen = FORMATS[format.value]
    title = "".join(char for char in Path(recording.name).stem if char.isprintable())
    transcript = service.store.transcript(id, revision)
    note_given(service, who, "transcript.exported", recording.id, format=chosen.name)
    data = write(transcript, chosen.name, words=words, title=title)
    name = disposition(recording.name, suffix=chosen.suffix)
    return Response(data, media_type=chosen.mime, headers={"Content-Disposition": name})
