"""MCP on standard input and output: a program that a client on this machine starts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from lingting.mcp.files import Files
from lingting.mcp.serving import make_server

if TYPE_CHECKING:
    from lingting.client import Client

T = TypeVar("T")


class Here:
    """The person at this machine, with their key."""

    def __init__(self, connect: Callable[[], Client], files: Files) -> None:
        self._connect = connect
        self.files = files

    async def ask(self, work: Callable[[Client], T]) -> T:
        return await asyncio.to_thread(self._asked, work)

    def _asked(self, work: Callable[[Client], T]) -> T:
        with self._connect() as client:
            return work(client)


def serve(connect: Callable[[], Client], files: Files) -> None:
    """Until standard input ends. Raises ExtraMissing."""
    here = Here(connect, files)
    server = make_server(lambda _: here, with_files=True)
    asyncio.run(_serve(server))


async def _serve(server: object) -> None:
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server

    assert isinstance(server, Server)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
