"""One response over ASGI: a page, an error, or signs of life before the page is known."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from lingting.errors import BusyError, LingtingError
from lingting.host.forms import error_body

Send = Callable[[dict[str, Any]], Awaitable[None]]

_JSON = b"application/json"


class Answering:
    """One response. Once a space has been sent, only a body can follow, and no status."""

    __slots__ = ("_send", "has_begun")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def beat(self) -> None:
        """A sign of life, without knowing how it ends."""
        if not self.has_begun:
            self.has_begun = True
            headers = [(b"content-type", _JSON)]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": b" ", "more_body": True})

    async def json(self, data: Any, status: int = 200) -> None:
        await self.body(json.dumps(data).encode(), status=status)

    async def error(self, error: LingtingError, status: int) -> None:
        more = []
        if isinstance(error, BusyError):
            more.append((b"retry-after", str(max(1, round(error.retry_after_s))).encode()))
        if status == 401:
            more.append((b"www-authenticate", b"Bearer"))
        await self.body(error_body(error, status), status=status, more=more)

    async def body(
        self,
        page: bytes,
        content_type: bytes = _JSON,
        *,
        status: int = 200,
        more: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        if not self.has_begun:
            self.has_begun = True
            headers = [
                (b"content-type", content_type),
                (b"content-length", str(len(page)).encode()),
                *(more or ()),
            ]
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": page})
