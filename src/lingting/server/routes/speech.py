"""Where somebody speaks: in a recording of the history, or in a clip that is not kept."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import asdict, fields
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import Response

from lingting.answers import ClipLimits, Parameter, ParameterList, Speech
from lingting.errors import AudioEmpty, AudioTooLong, BodyInvalid, BodyTooLarge, OutputUnwritable
from lingting.server.asking import Reader, TheService
from lingting.server.downloads import disposition
from lingting.server.principal import Principal
from lingting.server.service import Service
from lingting.server.uploads import Form, Part
from lingting.server.visible import recording_of

router = APIRouter(tags=["speech"])

CLIP_S = 1_800.0
CLIP_BYTES = 256 << 20
_PIECE_BYTES = 1 << 20
_AS_RECORDING = (
    "Send it with POST /api/v1/recordings, then POST /api/v1/recordings/{id}/speech; or shorten it."
)
Form_ = Literal["json", "csv"]
As = Annotated[
    Form_ | None, Query(description="As a file: json or csv. Unset, what Accept asks for.")
]


_PARAMETER_EXAMPLE = {"max_single_segment_ms": 30_000, "max_end_silence_ms": 800}
_FORM = {
    "requestBody": {
        "required": True,
        "description": "A file, and any of the parameters as fields.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "max_single_segment_ms": {"type": "integer"},
                        "max_end_silence_ms": {"type": "integer"},
                    },
                    "additionalProperties": {"type": "string"},
                }
            }
        },
    }
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Speech, "content": {"text/csv": {"schema": {"type": "string"}}}}
}


@router.get("/speech/parameters")
def parameters(who: Reader) -> ParameterList:
    """What finding speech can be told, with ranges and defaults: for sliders."""
    from lingting.vad.parameters import PARAMETERS

    del who
    return ParameterList(
        [Parameter(**asdict(one)) for one in PARAMETERS], ClipLimits(CLIP_S, CLIP_BYTES)
    )


@router.post("/recordings/{id}/speech", responses=_ANSWERS, response_class=Response)
async def speech_of_recording(
    request: Request,
    service: TheService,
    who: Reader,
    id: str,
    body: Annotated[dict[str, Any], Body(examples=[_PARAMETER_EXAMPLE])],
    format: As = None,
) -> Response:
    """Spans of speech in a recording, by parameters of one's own; nothing is changed."""
    options = _checked(body)
    stream, name = await asyncio.to_thread(_opened, service, who, id)
    limit_s = service.settings.max_duration_s
    found = await service.hearing.report(request, stream, options, limit_s)
    return await asyncio.to_thread(_answer, request, found, format, name)


@router.post("/speech", openapi_extra=_FORM, responses=_ANSWERS, response_class=Response)
async def speech_of_clip(
    request: Request, service: TheService, who: Reader, format: As = None
) -> Response:
    """Spans of speech in a clip that is sent along and not kept; at most half an hour."""
    del who
    stream = await asyncio.to_thread(_passing_file, service)
    try:
        async with service.uploads.turn(), aclosing(request.stream()) as incoming:
            options = await _received(request, incoming, stream)
    except BaseException:
        stream.close()
        raise
    try:
        found = await service.hearing.report(request, stream, options, CLIP_S)
    except AudioTooLong as error:
        raise AudioTooLong(error.sentence, _AS_RECORDING) from error
    return await asyncio.to_thread(_answer, request, found, format, "speech")


def _opened(service: Service, who: Principal, id: str) -> tuple[IO[bytes], str]:
    """The audio of a recording they may see, and its name."""
    found = recording_of(service, who, id)
    with service.store.blobs.local_path(found.digest) as path:
        return path.open("rb"), found.name


def _passing_file(service: Service) -> IO[bytes]:
    """Without a name: it is gone with the request, however that ends."""
    return tempfile.TemporaryFile(dir=service.settings.data_folder)


async def _received(
    request: Request, incoming: AsyncIterator[bytes], stream: IO[bytes]
) -> Mapping[str, Any]:
    """The parameters of the form; its file is in the stream then."""
    form = Form(request.headers.get("content-type", ""), incoming)
    given: dict[str, Any] = {}
    files = 0
    async for part in form.parts():
        if part.filename is None:
            if value := await part.text():
                given[part.name] = _value(part.name, value)
            continue
        files += 1
        if part.name != "file" or files > 1:
            raise BodyInvalid("One file comes in the field file.")
        await _copy(part, stream)
    if not files:
        raise BodyInvalid("The form holds no file.", "Send it in the field file.")
    return _checked(given)


async def _copy(part: Part, stream: IO[bytes]) -> None:
    received, held = 0, bytearray()
    async for piece in part.pieces():
        received += len(piece)
        if received > CLIP_BYTES:
            raise BodyTooLarge(
                f"A clip that is not kept has at most {CLIP_BYTES} bytes.", _AS_RECORDING
            )
        held += piece
        if len(held) >= _PIECE_BYTES:
            await asyncio.to_thread(_write, stream, bytes(held))
            held.clear()
    if not received:
        raise AudioEmpty("The upload holds nothing.")
    await asyncio.to_thread(_write, stream, bytes(held))


def _write(stream: IO[bytes], piece: bytes) -> None:
    """Raises OutputUnwritable for a full disk."""
    try:
        stream.write(piece)
        stream.flush()
    except OSError as exc:
        raise OutputUnwritable(
            f"The clip cannot be written: {exc.strerror}.", "Let the operator free some space."
        ) from exc


def _value(name: str, text: str) -> Any:
    """A field of a form as JSON has it. Raises BodyInvalid."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BodyInvalid(f"{name[:40]} is neither a number, true, false nor a list.") from exc


def _checked(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same. Raises OptionUnknown, OptionInvalid: before anything is decoded."""
    from lingting.vad.parameters import parse_options

    parse_options(given)
    return given


def _answer(request: Request, found: Mapping[str, Any], form: Form_ | None, name: str) -> Response:
    wants_csv = form == "csv" or (form is None and _accepts_csv(request))
    headers = {}
    if form is not None:
        headers["Content-Disposition"] = disposition(name, suffix=f".{form}")
    if wants_csv:
        return Response(_csv(found), media_type="text/csv", headers=headers)
    shown = {field.name: found[field.name] for field in fields(Speech)}
    return Response(json.dumps(shown), media_type="application/json", headers=headers)


def _accepts_csv(request: Request) -> bool:
    first = request.headers.get("accept", "").partition(",")[0]
    return first.partition(";")[0].strip().lower() == "text/csv"


def _csv(found: Mapping[str, Any]) -> str:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("start_s", "end_s", "duration_s", "score"))
    for one in found["spans"]:
        length_s = round(one["end_s"] - one["start_s"], 3)
        rows.writerow((one["start_s"], one["end_s"], length_s, one["score"]))
    return text.getvalue()
