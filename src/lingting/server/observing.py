"""What is noted about every request: its id, how long it took, how it ended, and its span.

The id is the caller's ``X-Request-Id`` where that is well formed, else a new one. It goes back with
the answer, stands in every line that is logged meanwhile, and goes on with a job to its worker and
engine. Addresses are noted by their template: they may hold a token.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import Any

from lingting import log, tracing
from lingting.server.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADER = log.REQUEST_HEADER.lower().encode()
_PARENT = tracing.HEADER.encode()
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "(none)"


class _Exchange:
    """How a request goes; whatever answers it may note an error's code."""

    __slots__ = ("code", "status")

    def __init__(self) -> None:
        self.status = 0
        self.code: str | None = None


_now: ContextVar[_Exchange | None] = ContextVar("lingting_exchange", default=None)


def note_error(code: str) -> None:
    """The request that is worked on is answered with this error."""
    exchange = _now.get()
    if exchange is not None:
        exchange.code = code


class Observed:
    """ASGI middleware around all others."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request = log.taken_request_id(_text(headers.get(_HEADER)))
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        exchange = _Exchange()
        token = _now.set(exchange)
        began_s = time.monotonic()
        self._metrics.begun()
        try:
            with (
                log.bound(request=request),
                tracing.span(f"http {method}", parent=_text(headers.get(_PARENT))) as span,
            ):
                try:
                    await self._app(scope, receive, _noting(send, exchange, request))
                finally:
                    span.set_attribute("http.request.method", method)
                    span.set_attribute("http.route", route_of(scope))
                    span.set_attribute("http.response.status_code", exchange.status)
                    span.set_attribute("lingting.request", request)
        finally:
            _now.reset(token)
            took_s = time.monotonic() - began_s
            self._metrics.ended(method, route_of(scope), exchange.status, took_s, exchange.code)


def _noting(send: Send, exchange: _Exchange, request: str) -> Send:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            headers = [*message.get("headers", ()), (_HEADER, request.encode())]
            message = {**message, "headers": headers}
        await send(message)

    return noting


def route_of(scope: Scope) -> str:
    """The template; what stands where no route is may be anything, and is not noted.

    A route of an included router knows its own part only: what the address has before that is the
    router's prefix.
    """
    route = scope.get("route")
    template, pattern = getattr(route, "path", None), getattr(route, "path_regex", None)
    if not isinstance(template, str):
        return NO_ROUTE
    address = str(scope["path"])
    if pattern is not None:
        for at, char in enumerate(address):
            if char == "/" and pattern.match(address[at:]):
                return address[:at] + template
    return template


def _text(given: bytes | None) -> str | None:
    return None if given is None else given.decode("latin-1")
