"""Resumable uploads by tus 1.0.0: https://tus.io/protocols/resumable-upload

Core, creation, creation-with-upload, checksum (sha1, sha256), expiration, termination and
concatenation. What a form says in fields is said in ``Upload-Metadata``; when the last byte is
there, the upload becomes a recording and a job as a form's file does.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Coroutine
from email.utils import format_datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from lingting.answers import Problem
from lingting.errors import (
    AudioEmpty,
    BodyInvalid,
    BodyTooLarge,
    LingtingError,
    OptionInvalid,
    UploadProtocol,
    UploadType,
)
from lingting.jobs import Job
from lingting.server import problems
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.limits import check_quotas
from lingting.server.principal import Principal
from lingting.server.resumable import CHECKSUMS, Checksum
from lingting.server.routes.jobs import Key
from lingting.server.routes.recordings import Wish
from lingting.server.service import Service
from lingting.server.views import UploadList, UploadView
from lingting.store.records import Upload

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination,concatenation"
CONTENT_TYPE = "application/offset+octet-stream"
_PLACE = "/api/v1/uploads"
_NUMBER = re.compile(r"[0-9]{1,15}")
_ID = re.compile(r"[a-z0-9]{1,16}")
_IGNORED = frozenset({"filetype", "type", "contentType", "relativePath", "lastModified"})
"""What browsers' clients say of every file."""
_MAX_JOINED = 1_000
_PRIORITIES = ("high", "normal", "low")


class _TusRoute(APIRoute):
    """Every answer names the version, those of errors too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await handle(request)
            except LingtingError as error:
                response = problems.answer(error)
            response.headers["Tus-Resumable"] = VERSION
            return response

        return answer


router = APIRouter(tags=["uploads"], route_class=_TusRoute)


def _speaks_our_version(tus_resumable: Annotated[str | None, Header()] = None) -> None:
    if tus_resumable != VERSION:
        raise UploadProtocol(f"Resumable uploads speak tus {VERSION} here.")


_TUS = [Depends(_speaks_our_version)]


@router.options("/uploads", status_code=204, response_class=Response)
def options(service: TheService, who: Reader) -> Response:
    """Version, extensions and limits."""
    del who
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        "Tus-Max-Size": str(service.settings.max_upload_bytes),
    }
    return Response(status_code=204, headers=headers)


@router.get("/uploads")
def list_uploads(service: TheService, who: Reader) -> UploadList:
    """One's own unfinished uploads, the newest first."""
    return UploadList([_view(one, None) for one in service.resumables.rows.listed(owner=who.user)])


@router.post("/uploads", status_code=201, response_class=Response, dependencies=_TUS)
async def create(request: Request, service: TheService, who: Writer, key: Key = None) -> Response:
    """A new upload; `Location` is where its pieces go.

    Where `sha256` is in the metadata, or with an `Idempotency-Key`, the same request finds the
    unfinished upload it made before, and `Upload-Offset` says how far that is.
    """
    given = request.headers.get("upload-metadata", "")
    wish, name = _wish(service, who, key, given)
    concat = request.headers.get("upload-concat", "")
    await asyncio.to_thread(wish.check)
    asked = {
        "name": name,
        "options": wish.options().as_dict(),
        "batch": wish.fields.get("batch"),
        "priority": check_priority(wish.fields.get("priority", "normal")),
        "metadata": given,
    }
    if concat.startswith("final;"):
        return await _join(service, who, wish, asked, concat)
    if concat not in ("", "partial"):
        raise BodyInvalid("Upload-Concat is neither partial nor final.")
    size_bytes = _size(request, service)
    await asyncio.to_thread(check_quotas, service, who, size_bytes)
    rows = await asyncio.to_thread(lambda: service.resumables.rows)
    is_known = (wish.digest is not None or key is not None) and not concat
    upload = await asyncio.to_thread(
        lambda: rows.add(
            owner=who.user,
            department=who.department,
            size_bytes=size_bytes,
            kind="partial" if concat else "whole",
            asked=asked,
            sha256=wish.digest,
            fingerprint=_fingerprint(asked, wish, size_bytes) if is_known else None,
            key=key,
        )
    )
    headers = {"Location": f"{_PLACE}/{upload.id}", **_headers(upload)}
    if request.headers.get("content-type") == CONTENT_TYPE and upload.received_bytes == 0:
        upload, job = await _append(request, service, who, upload.id, 0)
        headers |= _headers(upload) | _job_headers(job)
    return Response(status_code=201, headers=headers)


@router.head("/uploads/{id}", response_class=Response, dependencies=_TUS)
async def head(service: TheService, who: Writer, id: str) -> Response:
    """How far it is. Whoever still writes to it is ended."""
    from lingting.store.uploads import check_open

    await service.resumables.interrupt(id, owner=who.user)
    upload = await asyncio.to_thread(lambda: service.resumables.rows.get(id, owner=who.user))
    if upload.state != "done":
        check_open(upload)
    headers = _headers(upload) | {"Upload-Length": str(upload.size_bytes)}
    if upload.kind != "whole":
        headers["Upload-Concat"] = upload.kind
    if upload.asked.get("metadata"):
        headers["Upload-Metadata"] = upload.asked["metadata"]
    return Response(status_code=200, headers=headers)


@router.patch("/uploads/{id}", status_code=204, response_class=Response, dependencies=_TUS)
async def append(request: Request, service: TheService, who: Writer, id: str) -> Response:
    """A piece behind `Upload-Offset`. With the last one the upload becomes a recording and a job,
    which `Lingting-Job` and `Lingting-Recording` name."""
    if request.headers.get("content-type") != CONTENT_TYPE:
        raise UploadType("The piece is not announced as one.")
    offset = request.headers.get("upload-offset", "")
    if not _NUMBER.fullmatch(offset):
        raise BodyInvalid("Upload-Offset is no number of bytes.")
    upload, job = await _append(request, service, who, id, int(offset))
    return Response(status_code=204, headers=_headers(upload) | _job_headers(job))


@router.get("/uploads/{id}")
async def show(service: TheService, who: Writer, id: str) -> UploadView:
    """What became of it: once complete, its job or why there is none."""
    upload = await asyncio.to_thread(lambda: service.resumables.rows.get(id, owner=who.user))
    job = None
    if upload.job_id is not None or (upload.is_complete and upload.state == "open"):
        job = await _finish(service, upload)
        upload = await asyncio.to_thread(lambda: service.resumables.rows.get(id, owner=who.user))
    return _view(upload, job)


@router.delete("/uploads/{id}", status_code=204, response_class=Response, dependencies=_TUS)
async def terminate(service: TheService, who: Writer, id: str) -> Response:
    """It is not wanted any more; what came of it is removed."""
    await service.resumables.interrupt(id, owner=who.user)
    await asyncio.to_thread(lambda: service.resumables.rows.end(id, owner=who.user))
    await service.resumables.tidy_ended(id)
    return Response(status_code=204)


# Parts of them ---------------------------------------------------------------------------------


async def _append(
    request: Request, service: Service, who: Principal, upload_id: str, offset_bytes: int
) -> tuple[Upload, Job | None]:
    announced = request.headers.get("content-length", "")
    upload = await service.resumables.append(
        upload_id,
        offset_bytes,
        request.stream(),
        owner=who.user,
        announced_bytes=int(announced) if _NUMBER.fullmatch(announced) else None,
        checksum=_checksum(request.headers.get("upload-checksum")),
    )
    job = None
    if upload.is_complete and upload.kind != "partial":
        job = await _finish(service, upload)
    return upload, job


async def _finish(service: Service, upload: Upload) -> Job | None:
    async with service.uploads.turn():
        return await service.resumables.finish(upload)


async def _join(
    service: Service, who: Principal, wish: Wish, asked: dict[str, Any], concat: str
) -> Response:
    ids = [_id_of(one) for one in concat.removeprefix("final;").split()]
    if not 0 < len(ids) <= _MAX_JOINED:
        raise BodyInvalid(f"Upload-Concat names 1 to {_MAX_JOINED} uploads.")
    rows = await asyncio.to_thread(lambda: service.resumables.rows)
    upload = await asyncio.to_thread(
        lambda: rows.join(
            ids,
            owner=who.user,
            department=who.department,
            asked=asked,
            sha256=wish.digest,
            key=wish.key,
            max_bytes=service.settings.max_upload_bytes,
        )
    )
    job = await _finish(service, upload)
    headers = {"Location": f"{_PLACE}/{upload.id}", **_headers(upload), **_job_headers(job)}
    return Response(status_code=201, headers=headers)


def _id_of(address: str) -> str:
    place, _, id = urlsplit(address).path.rpartition("/")
    if place != _PLACE or not _ID.fullmatch(id):
        raise BodyInvalid("Upload-Concat names what is no upload.")
    return id


def _wish(service: Service, who: Principal, key: str | None, given: str) -> tuple[Wish, str]:
    """What the metadata says, as the fields of a form would; and the recording's name."""
    wish, filename = Wish(service, who, key), ""
    for name, value in _metadata(given):
        if name == "filename":
            filename = value
        elif name not in _IGNORED:
            wish.note(name, value)
    return wish, wish.begin(filename)


def _metadata(given: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for pair in filter(None, (one.strip() for one in given.split(","))):
        name, _, encoded = pair.partition(" ")
        try:
            value = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as exc:
            raise BodyInvalid("Upload-Metadata holds what is no Base64 of UTF-8.") from exc
        if name in found:
            raise BodyInvalid("Upload-Metadata names something twice.")
        found[name] = value
    return list(found.items())


def check_priority(priority: str) -> str:
    """Raises OptionInvalid for what is none."""
    if priority not in _PRIORITIES:
        raise OptionInvalid(f"priority is {priority[:40]}; allowed are high, normal and low.")
    return priority


def _size(request: Request, service: Service) -> int:
    given = request.headers.get("upload-length", "")
    if not _NUMBER.fullmatch(given):
        raise BodyInvalid("Upload-Length is no number of bytes.", "Say how large the file is.")
    limit = service.settings.max_upload_bytes
    if int(given) > limit:
        raise BodyTooLarge(f"The file is larger than the limit of {limit} bytes.")
    if int(given) == 0:
        raise AudioEmpty("The upload holds nothing.")
    return int(given)


def _checksum(given: str | None) -> Checksum | None:
    if given is None:
        return None
    kind, _, encoded = given.partition(" ")
    if kind not in CHECKSUMS:
        raise BodyInvalid("Upload-Checksum is of another kind.", f"Use {' or '.join(CHECKSUMS)}.")
    try:
        found = base64.b64decode(encoded, validate=True)
    except binascii.Error as exc:
        raise BodyInvalid("Upload-Checksum is no Base64.") from exc
    if len(found) != CHECKSUMS[kind]().digest_size:
        raise BodyInvalid(f"Upload-Checksum is no {kind}.")
    return Checksum(kind, found)


def _fingerprint(asked: dict[str, Any], wish: Wish, size_bytes: int) -> str:
    told = [{**asked, "metadata": None}, wish.digest, wish.key, size_bytes]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _headers(upload: Upload) -> dict[str, str]:
    headers = {"Upload-Offset": str(upload.received_bytes), "Cache-Control": "no-store"}
    if upload.state == "open":
        headers["Upload-Expires"] = format_datetime(upload.expires_at, usegmt=True)
    return headers


def _job_headers(job: Job | None) -> dict[str, str]:
    return {} if job is None else {"Lingting-Job": job.id, "Lingting-Recording": job.recording_id}


def _view(upload: Upload, job: Job | None) -> UploadView:
    error = upload.error
    return UploadView(
        id=upload.id,
        location=f"{_PLACE}/{upload.id}",
        state=upload.state,
        kind=upload.kind,
        size_bytes=upload.size_bytes,
        received_bytes=upload.received_bytes,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        job=job,
        error=None if error is None else Problem(error.code, error.message, ""),
    )
