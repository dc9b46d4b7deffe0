"""Resumable uploads: pieces in any number of requests, one recording and job at the end.

A piece becomes parts of at most 8 MiB, each on the disk (or in the bucket) and in its row before
the next one begins. So a cut connection loses nothing that came, and a killed process at most 8
MiB, which the client sends again. A piece with a checksum is one part, kept when it is right.

Whoever comes back before the old connection is known to be dead takes the upload over: the older
request ends, and could write nothing more if it did not.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lingting.errors import (
    BodyTooLarge,
    LingtingError,
    RequestError,
    StoreDamaged,
    UploadConflict,
    UploadDamaged,
)
from lingting.jobs import Job, JobOptions
from lingting.server.uploads import Feed
from lingting.store.records import Blob, Upload
from lingting.transcript import Failure

if TYPE_CHECKING:
    from lingting.server.service import Service
    from lingting.store.partials import Partials, Spool
    from lingting.store.uploads import UploadRows

log = logging.getLogger("lingting.server")

PART_BYTES = 8 << 20
_READ_BYTES = 256 << 10
_IDLE_S = 60.0
"""Then whoever was to make a job of a complete upload is taken for dead."""
_STRAY_S = 3600.0


CHECKSUMS: dict[str, Callable[[], hashlib._Hash]] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),  # the one that every server has
    "sha256": hashlib.sha256,
}


@dataclass(frozen=True, slots=True)
class Checksum:
    """Of a piece."""

    kind: str
    """One of ``CHECKSUMS``."""
    digest: bytes


@dataclass(slots=True)
class _Active:
    """A request that writes to an upload."""

    task: asyncio.Task[object]
    ended: asyncio.Event
    is_taken_over: bool = False


@dataclass(slots=True)
class _Piece:
    """What a request sends."""

    upload: Upload
    holder: str
    checksum: Checksum | None
    is_cut: bool = False
    """The connection ended before the piece did."""


class Resumables:
    """Takes pieces in; made once for a process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._active: dict[str, _Active] = {}
        self._finishing: dict[str, asyncio.Lock] = {}

    @property
    def rows(self) -> UploadRows:
        """May block at first; not for the event loop."""
        from lingting.store.uploads import UploadRows

        now = self._service.settings
        return UploadRows(
            self._service.store.database, expires_s=now.upload_expires_s,
            most_open=now.open_uploads,
        )  # fmt: skip

    @property
    def partials(self) -> Partials:
        """The same."""
        from lingting.store.partials import partials_of

        return partials_of(self._service.store)

    def is_active(self, upload_id: str) -> bool:
        """Whether a request writes to it here."""
        return upload_id in self._active

    async def interrupt(self, upload_id: str, *, owner: str) -> None:
        """End the request that writes to it here, behind what came of it.

        Raises UploadNotFound.
        """
        await asyncio.to_thread(lambda: self.rows.get(upload_id, owner=owner))
        active = self._active.get(upload_id)
        if active is not None and active.task is not asyncio.current_task():
            active.is_taken_over = True
            active.task.cancel()
            await active.ended.wait()

    async def append(
        self,
        upload_id: str,
        offset_bytes: int,
        stream: AsyncIterator[bytes],
        *,
        owner: str,
        announced_bytes: int | None = None,
        checksum: Checksum | None = None,
    ) -> Upload:
        """Write a piece behind ``offset_bytes``; the upload as it is then.

        Raises UploadNotFound, UploadGone, UploadConflict, UploadDamaged, BodyTooLarge.
        """
        await self.interrupt(upload_id, owner=owner)
        uploads = self._service.uploads
        rows = await asyncio.to_thread(lambda: self.rows)
        async with uploads.turn():
            upload, holder = await uploads.run(
                lambda: rows.take(upload_id, offset_bytes, owner=owner)
            )
            room = upload.size_bytes - upload.received_bytes
            if announced_bytes is not None and announced_bytes > room:
                raise _too_much(room)
            piece = _Piece(upload, holder, checksum)
            async with self._writing(upload_id):
                await self._receive(piece, room, stream)
        return await asyncio.to_thread(lambda: rows.get(upload_id, owner=owner))

    @asynccontextmanager
    async def _writing(self, upload_id: str) -> AsyncGenerator[None]:
        task = asyncio.current_task()
        assert task is not None
        active = self._active[upload_id] = _Active(task, asyncio.Event())
        try:
            yield
        except asyncio.CancelledError:
            if not active.is_taken_over:
                raise
            task.uncancel()
            raise UploadConflict("Another request goes on with this upload.") from None
        finally:
            if self._active.get(upload_id) is active:
                del self._active[upload_id]
            active.ended.set()

    async def _receive(self, piece: _Piece, room: int, stream: AsyncIterator[bytes]) -> None:
        feed = Feed()
        writing = self._service.uploads.run(self._write, piece, feed)
        writing.add_done_callback(lambda _: feed.abandon())
        try:
            async for data in stream:
                if len(data) > room:
                    raise _too_much(room)
                room -= len(data)
                if not feed.is_read:
                    break
                if data:
                    await feed.push(data)
        except BaseException:
            piece.is_cut = True
            feed.end()  # what came is written
            await asyncio.wait([writing])
            if not writing.cancelled():
                writing.exception()
            raise
        feed.end()
        await writing

    def _write(self, piece: _Piece, feed: Feed) -> None:
        """In a thread: everything that comes, part by part."""
        partials, rows = self.partials, self.rows
        while True:
            with partials.spool() as spool:
                is_ended = _fill(spool, feed, piece)
                if spool.size_bytes and not (piece.is_cut and piece.checksum is not None):
                    name = partials.keep(spool)
                    try:
                        rows.advance(piece.upload.id, piece.holder, spool.size_bytes, name)
                    except RequestError:
                        partials.remove([name])
                        raise
            if is_ended:
                return

    # The end -----------------------------------------------------------------------------------

    async def finish(self, upload: Upload) -> Job | None:
        """The job that a complete upload becomes; None for one that becomes none by itself.

        It is done again after a kill, and gives the same job. What the service refuses is refused
        for good: the upload has failed. Raises that, and what will pass.
        """
        lock = self._finishing.setdefault(upload.id, asyncio.Lock())
        try:
            async with lock:
                return await self._finish(upload)
        finally:
            if not lock.locked():
                self._finishing.pop(upload.id, None)

    async def _finish(self, upload: Upload) -> Job | None:
        service = self._service
        store = await asyncio.to_thread(lambda: service.store)
        rows = self.rows
        upload = await asyncio.to_thread(lambda: rows.get(upload.id, owner=upload.owner))
        if upload.state == "done" and upload.job_id is not None:
            job_id = upload.job_id
            return await asyncio.to_thread(lambda: service.desk.job(job_id))
        if upload.state != "open" or upload.kind == "partial" or not upload.is_complete:
            return None
        names = await asyncio.to_thread(lambda: rows.parts(upload.id))
        try:
            pieces = self._joined(names)
            async with (
                contextlib.aclosing(pieces),
                service.uploads.kept(store, pieces, digest=upload.sha256) as blob,
            ):
                job = await asyncio.to_thread(lambda: _submitted(service, upload, blob))
        except (RequestError, StoreDamaged) as error:
            failure = Failure(error.code, error.sentence)
            await asyncio.to_thread(lambda: rows.fail(upload.id, failure))
            await self._tidy(upload.id, names)
            raise
        await asyncio.to_thread(lambda: rows.finish(upload.id, job.id))
        await self._tidy(upload.id, names)
        return job

    async def _joined(self, names: list[str]) -> AsyncGenerator[bytes]:
        partials = self.partials
        for name in names:
            stream = await asyncio.to_thread(partials.open, name)
            try:
                while data := await asyncio.to_thread(stream.read, _READ_BYTES):
                    yield data
            finally:
                stream.close()

    async def _tidy(self, upload_id: str, names: list[str]) -> None:
        """Files go now if they can; else the sweep finds them."""

        def remove() -> None:
            self.partials.remove(names)
            self.rows.forget_parts(upload_id)

        try:
            await asyncio.to_thread(remove)
        except LingtingError as error:
            log.warning("parts of an upload stay", extra={"code": error.code})

    async def tidy_ended(self, upload_id: str) -> None:
        """The files of an upload that was ended."""
        names = await asyncio.to_thread(lambda: self.rows.parts(upload_id))
        await self._tidy(upload_id, names)

    async def sweep(self) -> None:
        """Jobs of complete uploads whose process was killed; then what nobody needs goes."""
        rows = await asyncio.to_thread(lambda: self.rows)
        for upload in await asyncio.to_thread(lambda: rows.unfinished(_IDLE_S)):
            try:
                async with self._service.uploads.turn():
                    await self.finish(upload)
            except LingtingError as error:
                log.warning(
                    "upload not finished", extra={"upload": upload.id, "code": error.code}
                )  # fmt: skip
        await asyncio.to_thread(self._sweep_files)

    def _sweep_files(self) -> None:
        rows, partials = self.rows, self.partials
        expired = rows.expire()
        if expired:
            log.info("uploads expired", extra={"uploads": expired})
        for upload_id, names in rows.needless():
            partials.remove(names)
            rows.forget_parts(upload_id)
        rows.forget_old()
        partials.remove_leftovers()
        partials.remove(rows.unknown(list(partials.older_than(_STRAY_S))))


def _fill(spool: Spool, feed: Feed, piece: _Piece) -> bool:
    """Read until a part is full, or all of a piece with a checksum; True at the end."""
    checksum = piece.checksum
    found = None if checksum is None else CHECKSUMS[checksum.kind]()
    while found is not None or spool.size_bytes < PART_BYTES:
        room = _READ_BYTES if found is not None else PART_BYTES - spool.size_bytes
        data = feed.read(min(room, _READ_BYTES))
        if not data:
            is_right = checksum is None or found is None or found.digest() == checksum.digest
            if not (is_right or piece.is_cut):
                raise UploadDamaged("The piece is not the one whose checksum came with it.")
            return True
        if found is not None:
            found.update(data)
        spool.write(data)
    return False


def _submitted(service: Service, upload: Upload, blob: Blob) -> Job:
    asked = upload.asked
    return service.desk.submit(
        blob,
        name=asked["name"],
        options=JobOptions.from_dict(asked["options"]),
        owner=upload.owner,
        department=upload.department,
        batch_id=asked["batch"],
        priority=asked["priority"],
        idempotency_key=upload.key or f"upload:{upload.id}",
    )


def _too_much(room: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The piece is larger than the {room} bytes that are left of the upload.", "Send less."
    )
