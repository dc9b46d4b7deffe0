"""Recordings: taken in, played, renamed, tagged, deleted. Lists are in ``history``."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from lingting.answers import Problem
from lingting.errors import BodyIncomplete, BodyInvalid, BodyTooLarge, BodyTooSlow, LingtingError
from lingting.jobs import Job, JobOptions, Priority
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.downloads import FileStream, disposition, media_type, parse_range
from lingting.server.limits import check_quotas
from lingting.server.principal import Principal
from lingting.server.problems import problem
from lingting.server.readings import note_read
from lingting.server.routes.jobs import Key, check_batch
from lingting.server.service import Service
from lingting.server.uploads import Form, Part
from lingting.server.views import (
    Taken,
    TakenList,
)
from lingting.server.visible import recording_of
from lingting.store import Receipt, Recording
from lingting.store.records import MAX_NAME_CHARS

router = APIRouter(tags=["recordings"])

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FORM = {
    "requestBody": {
        "required": True,
        "description": "Fields come before the files they are for; `name` and `sha256` are for the "
        "next file only.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "name": {"type": "string"},
                        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                        "batch": {"type": "string"},
                        "priority": {"enum": ["high", "normal", "low"]},
                        "model": {"type": "string"},
                        "language": {"type": "string"},
                        "words": {"type": "boolean"},
                        "itn": {"type": "boolean"},
                        "script": {"enum": ["simplified", "traditional", "as-is"]},
                        "hotwords": {"type": "array", "items": {"type": "string"}},
                        "prompt": {"type": "string"},
                        "beam_size": {"type": "integer"},
                        "translate": {"type": "boolean"},
                        "channels": {"enum": ["mix", "split"]},
                        "glossary": {"type": "string"},
                    },
                }
            }
        },
    }
}


class Again(BaseModel):
    """How to transcribe a recording once more."""

    model_config = ConfigDict(extra="forbid")

    options: dict[str, Any] = Field(default_factory=dict)
    batch: str | None = None
    priority: Priority = "normal"


class Tags(BaseModel):
    model_config = ConfigDict(extra="forbid")

    add: list[str] = Field(default_factory=list, max_length=100)
    remove: list[str] = Field(default_factory=list, max_length=100)


class Renaming(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=MAX_NAME_CHARS, examples=["周会 2026-11-20"])


@router.post("/recordings", status_code=202, openapi_extra=_FORM)
async def take(request: Request, service: TheService, who: Writer, key: Key = None) -> TakenList:
    """Take in one file or many; each becomes a recording and a job.

    One file that is refused does not keep the others back: `items` has a job or an error for each,
    in order. When none is taken, the answer is the first one's error.
    """
    store = await asyncio.to_thread(lambda: service.store)
    taken: list[Taken] = []
    first_error: LingtingError | None = None
    wish = Wish(service, who, key)
    async with service.uploads.turn(), aclosing(request.stream()) as stream:
        form = Form(request.headers.get("content-type", ""), stream)
        async for part in form.parts():
            if part.filename is None:
                wish.note(part.name, await part.text())
                continue
            if part.name not in {"file", "file[]", "files", "files[]"}:
                raise BodyInvalid("Files come in the field file.")
            name = wish.begin(part.filename)
            try:
                await service.uploads.run(wish.check)
                async with service.uploads.kept(store, part.pieces(), digest=wish.digest) as blob:
                    job = await service.uploads.run(wish.submit, blob, name)
                taken.append(Taken(name, job=job))
            except LingtingError as error:
                if isinstance(error, (BodyIncomplete, BodyTooSlow)) and not part.is_read:
                    raise  # nothing more comes
                first_error = _refused(taken, name, error, first_error)
                await _skip(part, service.settings.max_upload_bytes)
            wish.end()
    if not taken:
        raise BodyInvalid("The form holds no file.", "Send it in the field file.")
    if first_error is not None and all(one.job is None for one in taken):
        raise first_error
    return TakenList(taken)


def _refused(
    taken: list[Taken], name: str, error: LingtingError, first: LingtingError | None
) -> LingtingError:
    taken.append(Taken(name, error=Problem(**problem(error))))
    return first or error


async def _skip(part: Part, max_bytes: int) -> None:
    """What is left of a refused file, so that the next one can be read."""
    skipped = 0
    async for piece in part.pieces():
        skipped += len(piece)
        if skipped > max_bytes:
            raise BodyTooLarge(f"The file is larger than the limit of {max_bytes} bytes.")


@dataclass(slots=True)
class Wish:
    """What the fields of a form have said so far."""

    service: Service
    who: Principal
    key: str | None
    fields: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    digest: str | None = None
    checked_batch: str | None = None
    files: int = 0

    def note(self, name: str, value: str) -> None:
        """Raises BodyInvalid for a field nobody knows, or a value that cannot be."""
        plain = name.removesuffix("[]")
        if plain == "name":
            self.name = value
        elif plain == "sha256":
            if not _DIGEST.fullmatch(value):
                raise BodyInvalid("sha256 is no digest of 64 hexadecimal digits.")
            self.digest = value
        elif plain == "hotwords":
            listed = [line.strip() for line in value.splitlines() if line.strip()]
            self.fields["hotwords"] = [*self.fields.get("hotwords", []), *listed]
        elif plain in _PARSERS:
            self.fields[plain] = _PARSERS[plain](plain, value)
        else:
            shown = "".join(char if char.isprintable() else "?" for char in plain[:40])
            raise BodyInvalid(f"{shown} is no field of this form.")

    def begin(self, filename: str) -> str:
        """The name of the next file: data that is kept and shown, never a path."""
        self.files += 1
        return (self.name or filename or "recording")[:MAX_NAME_CHARS]

    def end(self) -> None:
        self.name = self.digest = None

    def check(self) -> None:
        """Before a byte is kept: quotas and options, and that batch and glossary are there."""
        check_quotas(self.service, self.who)
        self.service.desk.check_glossary(
            self.options(),
            owner=self.who.user,
            department=self.who.department,
            idempotency_key=self._file_key(),
        )
        batch = self.fields.get("batch")
        if batch is not None and batch != self.checked_batch:
            check_batch(self.service, self.who, batch)
            self.checked_batch = batch

    def options(self) -> JobOptions:
        given = {name: one for name, one in self.fields.items() if name not in _NOT_OPTIONS}
        return JobOptions.from_dict(given)

    def _file_key(self) -> str | None:
        if self.key is not None and self.files > 1:
            return f"{self.key}:{self.files}"
        return self.key

    def submit(self, blob: Any, name: str) -> Job:
        check_quotas(self.service, self.who, blob.size_bytes)
        return self.service.desk.submit(
            blob,
            name=name,
            options=self.options(),
            owner=self.who.user,
            department=self.who.department,
            batch_id=self.fields.get("batch"),
            priority=self.fields.get("priority", "normal"),
            idempotency_key=self._file_key(),
        )


_NOT_OPTIONS = frozenset({"batch", "priority"})


def _parse_text(name: str, value: str) -> str | None:
    del name
    return value or None


def _parse_choice(name: str, value: str) -> str:
    if not value:
        raise BodyInvalid(f"{name} is empty.", "Leave it out.")
    return value


def _parse_yes(name: str, value: str) -> bool:
    if value.lower() not in {"true", "false", "1", "0"}:
        raise BodyInvalid(f"{name} is neither true nor false.")
    return value.lower() in {"true", "1"}


def _parse_number(name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", value):
        raise BodyInvalid(f"{name} is no number.")
    return int(value)


_PARSERS: dict[str, Any] = {
    "batch": _parse_text,
    "priority": _parse_choice,
    "model": _parse_choice,
    "language": _parse_text,
    "words": _parse_yes,
    "itn": _parse_yes,
    "script": _parse_choice,
    "prompt": _parse_text,
    "beam_size": _parse_number,
    "translate": _parse_yes,
    "channels": _parse_choice,
    "glossary": _parse_text,
}


@router.get("/recordings/{id}")
def show_recording(service: TheService, who: Reader, id: str) -> Recording:
    """One recording, with how its transcript begins."""
    return recording_of(service, who, id)


@router.head("/recordings/{id}/audio", response_class=Response, include_in_schema=False)
@router.get("/recordings/{id}/audio", response_class=Response)
def audio(request: Request, service: TheService, who: Reader, id: str) -> Response:
    """The file as it was given; parts of it by `Range`."""
    found = recording_of(service, who, id)
    etag = f'"{found.digest}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": disposition(found.name, is_shown=True),
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    asked = request.headers.get("range")
    if request.headers.get("if-range", etag) != etag:
        asked = None
    part = parse_range(asked, found.size_bytes)
    if part is None:
        start, end, status = 0, found.size_bytes, 200
    else:
        (start, end), status = part, 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size_bytes}"
    headers["Content-Length"] = str(end - start)
    kind = media_type(found.name)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    note_read(service, who, "audio.read", id)
    stream = service.store.blobs.open_range(found.digest, start, end)
    return FileStream(stream, status, headers, kind)


@router.get("/recordings/{id}/peaks", response_class=Response)
def peaks(service: TheService, who: Reader, id: str) -> Response:
    """Loudness over time for a player, one byte a point; empty while it is not known."""
    recording_of(service, who, id)
    drawn = service.store.preview(id) or b""
    return Response(drawn, media_type="application/octet-stream")


@router.post("/recordings/{id}/tags")
def tag(service: TheService, who: Writer, id: str, body: Tags) -> Recording:
    """Add and remove tags."""
    recording_of(service, who, id)
    return service.store.tag(id, add=body.add, remove=body.remove, actor=who.actor)


@router.patch("/recordings/{id}")
def rename(service: TheService, who: Writer, id: str, body: Renaming) -> Recording:
    """Another name for it."""
    recording_of(service, who, id)
    return service.store.rename(id, body.name, actor=who.actor)


@router.post("/recordings/{id}/jobs", status_code=202)
def transcribe_again(
    service: TheService, who: Writer, id: str, body: Again, key: Key = None
) -> Job:
    """Another transcript of a recording that is there, with other options or another model."""
    recording_of(service, who, id)
    if body.batch is not None:
        check_batch(service, who, body.batch)
    check_quotas(service, who)
    return service.desk.resubmit(
        id,
        JobOptions.from_dict(body.options),
        owner=who.user,
        batch_id=body.batch,
        priority=body.priority,
        idempotency_key=key,
    )


@router.delete("/recordings/{id}")
def delete(service: TheService, who: Writer, id: str) -> Recording:
    """Out of the history; `undo` brings it back."""
    recording_of(service, who, id)
    return service.store.delete(id, actor=who.actor)


@router.post("/recordings/{id}/undo")
def undo(service: TheService, who: Writer, id: str) -> Recording:
    """Bring back what was deleted."""
    recording_of(service, who, id)
    return service.store.undo(id, actor=who.actor)


@router.post("/recordings/{id}/purge")
def purge(service: TheService, who: Writer, id: str) -> Receipt:
    """Remove a deleted recording for good, audio and text; the answer is the receipt."""
    recording_of(service, who, id)
    return service.store.purge(id, author=who.user, actor=who.actor)
