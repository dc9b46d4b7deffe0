"""Uploads: from the network to the blob store, a piece at a time.

A thread writes and hashes while the event loop receives; between the two waits at most 4 MiB, so a
slow disk slows the client down and memory stays what it is. The blob store flushes to the disk and
renames before a row speaks of the audio. Whatever goes wrong, the half-written file is removed: by
the thread when the request fails, at the next start when the process was killed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import copy_context
from functools import partial
from typing import IO, Any, TypeVar, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from lingting.errors import (
    AudioEmpty,
    BodyIncomplete,
    BodyInvalid,
    BodyTooLarge,
    BusyError,
    LingtingError,
)
from lingting.server.turns import Turns
from lingting.store import Blob, Store

T = TypeVar("T")
log = logging.getLogger("lingting.server")

AT_ONCE = 16
"""Uploads under way at a time; the others wait for their turn."""
QUEUED = 256
MAX_FILES = 10_000
MAX_FIELDS = 64
MAX_FIELD_BYTES = 64 << 10
_WAITING_BYTES = 4 << 20
_READ_BYTES = 1 << 20


class Feed:
    """What the loop pushes, as a stream that one thread reads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._room.set()
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._is_ended = False
        self._error: BaseException | None = None
        self._is_read = True

    async def push(self, piece: bytes) -> None:
        """Returns when there is room for more, or when nobody reads any longer."""
        with self._changed:
            self._pieces.append(piece)
            self._waiting_bytes += len(piece)
            if self._waiting_bytes > _WAITING_BYTES:
                self._room.clear()
            self._changed.notify()
        if self._is_read:
            await self._room.wait()

    def end(self, error: BaseException | None = None) -> None:
        """No more comes; with an error, the reader fails with it."""
        with self._changed:
            self._is_ended = True
            self._error = error
            self._changed.notify()

    def abandon(self) -> None:
        """The reader has gone; called on the loop."""
        with self._changed:
            self._is_read = False
        self._room.set()

    @property
    def is_read(self) -> bool:
        return self._is_read

    def read(self, size: int = -1) -> bytes:
        """For the thread: up to ``size`` bytes, nothing at the end."""
        wanted = size if size > 0 else _READ_BYTES
        with self._changed:
            while not self._pieces and not self._is_ended:
                self._changed.wait()
            if self._error is not None:
                raise self._error
            taken = bytearray()
            while self._pieces and len(taken) + len(self._pieces[0]) <= wanted:
                taken += self._pieces.popleft()
            if self._pieces and not taken:
                whole = self._pieces.popleft()
                taken += whole[:wanted]
                self._pieces.appendleft(whole[wanted:])
            self._waiting_bytes -= len(taken)
            if self._waiting_bytes <= _WAITING_BYTES // 2:
                self._loop.call_soon_threadsafe(self._room.set)
        return bytes(taken)


class Uploads:
    """Takes files in; made once for a process."""

    def __init__(self, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._turns = Turns(AT_ONCE, QUEUED, "Too many uploads wait for their turn.")
        # Of its own: an upload holds its thread for as long as the client takes.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload")
        self._held: Counter[str] = Counter()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def run(self, work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Do something of an upload in a thread. Each upload needs one at a time."""
        run = copy_context().run  # the request's id goes along
        return asyncio.get_running_loop().run_in_executor(self._threads, run, work, *arguments)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for a place among the uploads. Raises BusyError when too many wait already."""
        return self._turns.one()

    @asynccontextmanager
    async def kept(
        self, store: Store, pieces: AsyncIterator[bytes], *, digest: str | None = None
    ) -> AsyncGenerator[Blob]:
        """Everything of ``pieces`` as a blob, durable, for as long as it takes to make its row.

        When the block fails, audio that came with this upload and that no row has is removed.
        Raises AudioEmpty, BodyTooLarge, BodyIncomplete when ``digest`` is another one.
        """
        blob = await self._received(store, pieces)
        self._held[blob.digest] += 1
        try:
            if digest is not None and digest != blob.digest:
                raise BodyIncomplete("The body is not the one whose digest was announced.")
            yield blob
        except BaseException as exc:
            is_retried = isinstance(exc, BusyError)  # with the same audio
            if self._held[blob.digest] == 1 and blob.is_new and not is_retried:
                await asyncio.shield(self.run(discard, store, blob.digest))
            raise
        finally:
            self._held[blob.digest] -= 1
            if not self._held[blob.digest]:
                del self._held[blob.digest]

    async def _received(self, store: Store, pieces: AsyncIterator[bytes]) -> Blob:
        first = b""
        async for first in pieces:
            if first:
                break
        if not first:
            raise AudioEmpty("The upload holds nothing.")
        feed = Feed()
        put = partial(store.blobs.put, cast("IO[bytes]", feed), max_bytes=self.max_bytes)
        putting = self.run(put)
        putting.add_done_callback(lambda _: feed.abandon())
        received = len(first)
        try:
            await feed.push(first)
            async for piece in pieces:
                received += len(piece)
                if received > self.max_bytes:
                    raise BodyTooLarge(
                        f"The file is larger than the limit of {self.max_bytes} bytes."
                    )
                if not feed.is_read:
                    break
                await feed.push(piece)
        except BaseException as exc:
            feed.end(exc if isinstance(exc, LingtingError) else EOFError())
            # Wait until the half file is gone, even when this request is being cancelled.
            await asyncio.wait([putting])
            if not putting.cancelled():
                putting.exception()
            raise
        feed.end()
        return await putting


def discard(store: Store, digest: str) -> None:
    """Audio without a row is found by `lingting db check` if this fails too."""
    try:
        store.discard(digest)
    except LingtingError as error:
        log.warning("refused audio stays", extra={"code": error.code})


# Multipart -----------------------------------------------------------------------------------


class Part:
    """One part of a form: a field, or a file whose ``pieces`` are read before the next part."""

    def __init__(self, name: str, filename: str | None, form: Form) -> None:
        self.name = name
        self.filename = filename
        self.is_read = False
        """Its end was seen."""
        self._form = form

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The content as it comes."""
        while not self.is_read:
            kind, data = await self._form.next_event()
            if kind == "data":
                yield data
            else:
                self.is_read = True

    async def text(self) -> str:
        """The value of a field. Raises BodyTooLarge, BodyInvalid."""
        value = b""
        async for piece in self.pieces():
            value += piece
            if len(value) > MAX_FIELD_BYTES:
                raise BodyTooLarge(
                    f"A field is larger than {MAX_FIELD_BYTES} bytes.", "Shorten it."
                )
        try:
            return value.decode()
        except UnicodeDecodeError as exc:
            raise BodyInvalid("A field is not UTF-8.") from exc


class Form:
    """``multipart/form-data`` part by part; nothing of it is gathered."""

    def __init__(
        self, content_type: str, stream: AsyncIterator[bytes], *, max_fields: int = MAX_FIELDS
    ) -> None:
        self._max_fields = max_fields
        kind, parameters = parse_options_header(content_type)
        boundary = parameters.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise BodyInvalid("The body is no multipart/form-data with a boundary.")
        self._stream = stream
        self._events: deque[tuple[str, bytes]] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._header = [b"", b""]
        self._is_whole = False
        try:
            self._parser = MultipartParser(boundary, self._callbacks())  # type: ignore[arg-type]
        except FormParserError as exc:
            raise BodyInvalid("The boundary of the form is not allowed.") from exc

    async def parts(self) -> AsyncGenerator[Part]:
        """All parts; what is not read of one is skipped. Raises BodyIncomplete, BodyInvalid."""
        fields = files = 0
        while True:
            kind, raw = await self.next_event()
            if kind == "whole":
                return
            if kind != "part":
                continue
            name, filename = _names(raw)
            fields, files = fields + (filename is None), files + (filename is not None)
            if fields > self._max_fields or files > MAX_FILES:
                raise BodyTooLarge(
                    f"The form has more than {self._max_fields} fields or {MAX_FILES} files.",
                    "Send several requests.",
                )
            yield Part(name, filename, self)

    async def next_event(self) -> tuple[str, bytes]:
        while not self._events:
            try:
                data = await anext(self._stream)
            except StopAsyncIteration:
                if self._is_whole:
                    return "whole", b""
                raise BodyIncomplete("The form ends before its last boundary.") from None
            try:
                self._parser.write(data)
            except FormParserError as exc:
                raise BodyInvalid("The form cannot be read.") from exc
        return self._events.popleft()

    def _callbacks(self) -> dict[str, object]:
        def name(data: bytes, start: int, end: int) -> None:
            self._header[0] += data[start:end]

        def value(data: bytes, start: int, end: int) -> None:
            self._header[1] += data[start:end]

        def header_end() -> None:
            self._headers[self._header[0].lower()] = self._header[1]
            self._header = [b"", b""]

        def headers_end() -> None:
            self._events.append(("part", self._headers.get(b"content-disposition", b"")))
            self._headers = {}

        def content(data: bytes, start: int, end: int) -> None:
            self._events.append(("data", data[start:end]))

        def whole() -> None:
            self._is_whole = True

        return {
            "on_header_field": name,
            "on_header_value": value,
            "on_header_end": header_end,
            "on_headers_finished": headers_end,
            "on_part_data": content,
            "on_part_end": lambda: self._events.append(("end", b"")),
            "on_end": whole,
        }


def _names(disposition: bytes) -> tuple[str, str | None]:
    """Name and file name of a part; both are data and are never used as a path."""
    kind, options = parse_options_header(disposition.decode("latin-1"))
    if kind != b"form-data" or b"name" not in options:
        raise BodyInvalid("A part of the form has no name.")
    filename = options.get(b"filename")
    return (
        options[b"name"].decode("utf-8", "backslashreplace"),
        None if filename is None else filename.decode("utf-8", "backslashreplace"),
    )
