"""A stream of events ends well for whoever had the text, however they hang up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect

from lingting.server.openai.streaming import EventStream

DELTA = {"type": "transcript.text.delta", "delta": "hello"}
DONE = {"type": "transcript.text.done", "text": "hello"}


def ended(*found: dict[str, Any], hangs_up_at: str) -> bool:
    """What ``leave`` is told when the client hangs up as soon as it read that much."""
    told: list[bool] = []

    async def events() -> AsyncGenerator[dict[str, Any]]:
        for one in found:
            yield one
        await asyncio.Event().wait()

    async def leave(is_gone: bool) -> None:
        told.append(is_gone)

    async def run() -> None:
        read = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await read.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if hangs_up_at.encode() in message.get("body", b""):
                read.set()

        await EventStream(events(), leave, {})({"type": "http", "path": "/v1"}, receive, send)

    with suppress(ClientDisconnect):
        asyncio.run(run())
    [is_gone] = told
    return is_gone


def test_who_hangs_up_with_the_text_has_been_answered() -> None:
    assert ended(DELTA, DONE, hangs_up_at="text.done") is False


def test_who_hangs_up_before_it_has_gone() -> None:
    assert ended(DELTA, hangs_up_at="text.delta") is True
