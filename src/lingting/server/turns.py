"""Turns: so many at a time, and no more than so many that wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lingting.errors import BusyError


class Turns:
    """Of one event loop."""

    def __init__(self, at_once: int, queued: int, refusal: str) -> None:
        """``refusal`` is the sentence for whoever comes when ``queued`` wait already."""
        self._places = asyncio.Semaphore(at_once)
        self._queued = queued
        self._refusal = refusal
        self._waiting = 0

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """Wait for it, have it. Raises BusyError when too many wait already."""
        if self._waiting >= self._queued:
            raise BusyError(self._refusal, retry_after_s=5.0)
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()
