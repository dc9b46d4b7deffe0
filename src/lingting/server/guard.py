"""What holds for every request: bounded bodies, bounded patience, and headers that protect.

It stands around the whole application. A body is counted while it comes, whatever Content-Length
says; a client that sends or reads too slowly is let go. When an answer was given before the body
had been read, the rest is read for a moment and thrown away, since closing at once would take the
answer from a client that is still sending.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect

from lingting.errors import BodyTooLarge, BodyTooSlow, LingtingError, OptionInvalid, PathUnknown
from lingting.server.observing import route_of
from lingting.server.problems import answered, headers_of, incident, log
from lingting.server.protocol import ABORT

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_PAGES = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
HEADERS = (
    (b"content-security-policy", _PAGES.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(self)"),
)
"""Not ``no-referrer``: without TLS a browser would then call the origin of every form "null"."""
OVER_TLS = (
    (b"strict-transport-security", b"max-age=31536000"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""What browsers heed on secure origins only, and complain about elsewhere."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of one exchange. Bytes of a body, and seconds of silence or of not reading."""

    body_bytes: int = 1 << 20
    """For everything but uploads, which count for themselves."""
    silence_s: float = 30.0
    """The next piece of a body must come within this time."""
    grace_s: float = 30.0
    """After this time a body must have come with ``slowest_bytes_per_s`` on average."""
    slowest_bytes_per_s: float = 1024.0
    reading_s: float = 60.0
    """The client must take a piece of the answer within this time."""
    leftover_s: float = 2.0
    leftover_bytes: int = 16 << 20


UPLOADS = (
    "/api/v1/recordings",
    "/api/v1/speech",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
)
RESUMABLE = "/api/v1/uploads"
CORRECTIONS = "/api/v1/transcripts/"
CORRECTION_BYTES = 32 << 20
"""A corrected transcript of a whole day."""
MCP = "/mcp"
MCP_BYTES = 4 << 20
"""Four megabytes are three of audio inside a message; the SDK takes no more either."""


class Guard:
    """ASGI middleware, see the module."""

    def __init__(self, app: App, patience: Patience, *, is_secure: bool) -> None:
        self._app = app
        self._patience = patience
        self._headers = [*HEADERS, *(OVER_TLS if is_secure else ())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit(scope, self._patience)
        exchange = _Exchange(scope, receive, send, self._patience, limit, self._headers)
        try:
            _check_address(scope)
            await self._app(scope, exchange.receive, exchange.send)
            exchange.note()
        except ClientDisconnect:
            log.info("client gone", extra={"method": scope["method"]})
        except LingtingError as error:  # raised outside of a route
            status, body = answered(scope["path"], error)
            await exchange.refuse(status, body, headers_of(error))
        except _NotRead:
            exchange.abort()
        except Exception as exc:
            if exchange.is_unread:
                exchange.abort()
            if exchange.is_gone:
                return
            await exchange.refuse(500, incident(scope["path"], exc), {})


def _check_address(scope: Scope) -> None:
    """Refuses NUL, which Postgres takes in no text. Raises PathUnknown, OptionInvalid."""
    if "\0" in scope["path"]:
        raise PathUnknown("Nothing is at this address.")
    if b"%00" in scope["query_string"]:
        raise OptionInvalid("The address holds the character NUL.", "Leave it out.")


def _limit(scope: Scope, patience: Patience) -> int | None:
    path = scope["path"]
    if scope["method"] == "POST" and path in UPLOADS:
        return None
    if scope["method"] in {"POST", "PATCH"} and path.startswith(RESUMABLE):
        return None
    if scope["method"] == "PUT" and path.startswith(CORRECTIONS):
        return CORRECTION_BYTES
    if path == MCP:
        return MCP_BYTES
    return patience.body_bytes


class _NotRead(ConnectionResetError):
    """Ends the exchange; the server closes the connection."""


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        patience: Patience,
        limit: int | None,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        self._receive = receive
        self._send = send
        self._patience = patience
        self._limit = limit
        self._headers = headers
        self._received = 0
        self._begun_s: float | None = None
        self._has_body = _has_body(scope)
        self._has_started = False
        self._scope = scope
        self._arrived_s = time.monotonic()
        self._status = 0
        self.is_gone = False
        self.is_unread = False

    def abort(self) -> None:
        """A client that does not read would hold what waits for it."""
        log.info("client does not read", extra={"method": self._scope["method"]})
        self.is_gone = True
        abort = self._scope.get(ABORT)
        if abort is not None:
            abort()

    async def receive(self) -> Message:
        if not self._has_body:  # all there; what comes now is that the client goes
            return await self._next()
        now_s = asyncio.get_running_loop().time()
        self._begun_s = now_s if self._begun_s is None else self._begun_s
        try:
            async with asyncio.timeout(self._patience.silence_s):
                message = await self._next()
        except TimeoutError:
            if self._has_started:
                return {"type": "http.disconnect"}
            raise BodyTooSlow(f"Nothing came for {self._patience.silence_s:g} s.") from None
        if message["type"] == "http.request":
            self._count(len(message.get("body", b"")), message.get("more_body", False))
        return message

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_gone = True
        elif not message.get("more_body", False):
            self._has_body = False
        return message

    def _count(self, size: int, has_more: bool) -> None:
        self._received += size
        if self._limit is not None and self._received > self._limit:
            raise BodyTooLarge(
                f"The body is larger than the limit of {self._limit} bytes.", "Send less."
            )
        assert self._begun_s is not None
        waited_s = asyncio.get_running_loop().time() - self._begun_s
        slowest = self._patience.slowest_bytes_per_s
        if has_more and waited_s > self._patience.grace_s and self._received < waited_s * slowest:
            raise BodyTooSlow(f"Less than {slowest:g} bytes a second came.")

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_started = True
            self._status = message["status"]
            message = {**message, "headers": self._with_own(list(message.get("headers", ())))}
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and self._has_body and not self.is_gone:
            await self._timed({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await self._timed(message)

    async def _timed(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._patience.reading_s):
                await self._send(message)
        except TimeoutError:
            self.is_unread = True
            raise _NotRead("the client does not read its answer") from None

    def _with_own(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        given = {name.lower() for name, _ in headers}
        headers += [one for one in self._headers if one[0] not in given]
        if b"cache-control" not in given:
            headers.append((b"cache-control", b"no-store"))
        if self._has_body:
            headers.append((b"connection", b"close"))
        return headers

    async def _drain(self) -> None:
        taken = 0
        try:
            async with asyncio.timeout(self._patience.leftover_s):
                while self._has_body and not self.is_gone and taken < self._patience.leftover_bytes:
                    message = await self._next()
                    taken += len(message.get("body", b""))
        except TimeoutError:
            return

    def note(self) -> None:
        """One line for the log, with the route and not the address: that may hold a token."""
        if log.isEnabledFor(logging.INFO):
            took_ms = round((time.monotonic() - self._arrived_s) * 1000)
            log.info(
                "request",
                extra={
                    "method": self._scope["method"], "route": route_of(self._scope),
                    "status": self._status, "took_ms": took_ms,
                },
            )  # fmt: skip

    async def refuse(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        """Answer with an error; a half answer is broken off, so that it cannot pass for whole."""
        if self._has_started:
            raise ConnectionAbortedError("the answer could not be finished")
        data = json.dumps(body).encode()
        listed = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        listed += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(data)).encode()),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": listed})
        await self.send({"type": "http.response.body", "body": data})


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return True
    return headers.get(b"content-length", b"0").strip() not in (b"", b"0")
