"""``/mcp``: the tools of ``lingting.mcp`` over streamable HTTP, for whoever has a key or a session.

Nothing is kept between two requests (the protocol's stateless form), so there is no session to
steal, and any web process may answer. A tool's requests to the API stay in this process; they carry
what the caller showed, so nobody can do more here than there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lingting.errors import BusyError
from lingting.mcp.serving import is_installed, make_server, missing
from lingting.server.asking import principal_of

if TYPE_CHECKING:
    from lingting.client import Client

T = TypeVar("T")
log = logging.getLogger("lingting.server")

PATH = "/mcp"
_THREADS = 4
"""Of their own: what a tool asks for is answered by the threads of the routes."""
_WAITING = 64
_ANSWER_S = 60.0
_CARRIED = frozenset({b"authorization", b"cookie", b"x-forwarded-for", b"x-request-id"})


class Mcp:
    """The endpoint. The SDK is imported with the first request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mcp")
        self._waiting = 0
        self._starting = asyncio.Lock()
        self._manager: Any = None
        self._running: asyncio.Task[None] | None = None
        self._ends = asyncio.Event()
        if not is_installed():
            log.warning("MCP is not installed: /mcp answers install.extra_missing")

    @property
    def route(self) -> Route:
        return Route(PATH, endpoint=self, methods=["POST"], include_in_schema=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await principal_of(Request(scope, receive))
        if self._manager is None:
            async with self._starting:
                if self._manager is None:
                    await self._start()
        await self._manager.handle_request(scope, receive, send)

    async def _start(self) -> None:
        if not is_installed():
            raise missing()
        manager = await asyncio.get_running_loop().run_in_executor(self._threads, self._made)
        is_ready = asyncio.Event()
        self._running = asyncio.create_task(self._run(manager, is_ready), name="mcp")
        await is_ready.wait()
        self._manager = manager

    def _made(self) -> Any:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        server = make_server(self._asker, with_files=False)
        return StreamableHTTPSessionManager(server, json_response=True, stateless=True)

    async def _run(self, manager: Any, is_ready: asyncio.Event) -> None:
        """Its tasks begin and end in one task, as they must."""
        async with manager.run():
            is_ready.set()
            await self._ends.wait()

    async def close(self) -> None:
        self._ends.set()
        if self._running is not None:
            with suppress(asyncio.CancelledError):
                await self._running
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _asker(self, request: Request) -> Caller:
        return Caller(self, request)

    async def run(self, work: Callable[[], T]) -> T:
        """Raises BusyError when too many wait already."""
        if self._waiting >= _WAITING:
            raise BusyError("Too many calls of tools wait for their turn.", retry_after_s=5.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    @property
    def app(self) -> ASGIApp:
        return self._app


class Caller:
    """Whoever sent the request: a client with what they showed."""

    files = None

    def __init__(self, door: Mcp, request: Request) -> None:
        self._door = door
        self._transport = _Inside(door.app, request)

    async def ask(self, work: Callable[[Client], T]) -> T:
        return await self._door.run(lambda: self._asked(work))

    def _asked(self, work: Callable[[Client], T]) -> T:
        from lingting.client import Client

        with Client("http://127.0.0.1", key="", transport=self._transport) as client:
            return work(client)


class _Inside(httpx.BaseTransport):
    """Requests from a thread to this very application, on behalf of a caller."""

    def __init__(self, app: ASGIApp, request: Request) -> None:
        client = request.client
        self._transport = httpx.ASGITransport(
            app,
            raise_app_exceptions=False,
            client=("127.0.0.1", 0) if client is None else (client.host, client.port),
        )
        self._shown = [one for one in request.scope["headers"] if one[0].lower() in _CARRIED]
        # Checked for the whole request already.
        self._shown.append((b"sec-fetch-site", b"same-origin"))
        self._loop = asyncio.get_running_loop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        wait_s = request.extensions.get("timeout", {}).get("read") or _ANSWER_S
        asked = httpx.Request(
            request.method,
            request.url,
            headers=[*request.headers.raw, *self._shown],
            content=request.read(),
        )
        answering = asyncio.run_coroutine_threadsafe(self._answer(asked), self._loop)
        try:
            return answering.result(wait_s)
        except TimeoutError as exc:
            answering.cancel()
            raise httpx.ReadTimeout("no answer in time") from exc

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = await self._transport.handle_async_request(request)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)
