"""Backups: made, looked at, taken away and removed by administrators."""

from __future__ import annotations

import os
from typing import IO

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lingting.answers import Backup, BackupList
from lingting.errors import BackupNotFound
from lingting.server.asking import Administrator, TheService
from lingting.server.downloads import FileStream, disposition, parse_range

router = APIRouter(tags=["backups"])


@router.get("/backups")
def list_backups(service: TheService, who: Administrator) -> BackupList:
    """Those in the folder of the service, the newest first."""
    del who
    return service.backups.listed()


@router.post("/backups", status_code=202)
def make_backup(service: TheService, who: Administrator) -> Backup:
    """Save the whole history in a file, while everybody goes on; it is read back afterwards."""
    return service.backups.make(who.actor)


@router.get("/backups/{name}")
def show_backup(service: TheService, who: Administrator, name: str) -> Backup:
    """How far it is, and whether it is whole."""
    del who
    return service.backups.one(name)


@router.post("/backups/{name}/verify", status_code=202)
def verify_backup(service: TheService, who: Administrator, name: str) -> Backup:
    """Read it back and compare every byte with its manifest."""
    del who
    return service.backups.check(name)


@router.get("/backups/{name}/file", response_class=Response)
def download(request: Request, service: TheService, who: Administrator, name: str) -> Response:
    """The tar file; parts of it by `Range`. It holds everything that is kept."""
    path = service.backups.path(name)
    try:
        stream = path.open("rb")
    except OSError as exc:
        raise BackupNotFound("The folder of backups holds nothing of this name.") from exc
    try:
        return _sent(request, service, who, name, stream)
    except BaseException:
        stream.close()
        raise


def _sent(
    request: Request, service: TheService, who: Administrator, name: str, stream: IO[bytes]
) -> Response:
    size_bytes = os.fstat(stream.fileno()).st_size
    part = parse_range(request.headers.get("range"), size_bytes)
    start, end = part or (0, size_bytes)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "Content-Disposition": disposition(name),
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size_bytes}"
    service.backups.note_taken(name, who.actor)
    stream.seek(start)
    bounded = _Part(stream, end - start)
    return FileStream(bounded, 200 if part is None else 206, headers, "application/x-tar")  # type: ignore[arg-type]


@router.delete("/backups/{name}", status_code=204)
def delete_backup(service: TheService, who: Administrator, name: str) -> None:
    """Remove the file for good."""
    service.backups.delete(name, who.actor)


class _Part:
    """So many bytes of a stream."""

    def __init__(self, stream: IO[bytes], left_bytes: int) -> None:
        self._stream = stream
        self._left_bytes = left_bytes

    def read(self, size: int) -> bytes:
        piece = self._stream.read(min(size, self._left_bytes))
        self._left_bytes -= len(piece)
        return piece

    def close(self) -> None:
        self._stream.close()
