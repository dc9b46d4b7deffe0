"""Waiting for a job, for as long as anybody wants its text.

The job is durable and the waiting is not. A client that goes away takes its job along, unless
another one waits for the same; asked for again, the job goes on behind the last group that it had
stored. When this process ends, jobs go on: whoever asks again joins them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import ClientDisconnect

from lingting.errors import (
    BusyError,
    FaultError,
    JobCancelled,
    JobFinished,
    JobNotFound,
    LingtingError,
    RequestError,
    by_code,
)
from lingting.jobs import Event, Job
from lingting.server.broker import Wanted

if TYPE_CHECKING:
    from starlette.types import Receive

    from lingting.server.service import Service

T = TypeVar("T")

LOOK_S = 5.0
"""How often somebody who hears nothing looks whether anything works at all."""
_DEAD_AFTER_S = 15.0
_RETRY_AFTER_S = 5.0


@dataclass(eq=False, slots=True)
class Door:
    """Everybody in this process who wants the same; they come and go in turns."""

    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Doors:
    """Made once for a process."""

    def __init__(self) -> None:
        self._doors: dict[str, Door] = {}

    @asynccontextmanager
    async def waiting(self, key: str) -> AsyncGenerator[Door]:
        door = self._doors.setdefault(key, Door())
        door.waiting += 1
        try:
            yield door
        finally:
            door.waiting -= 1
            if not door.waiting:
                self._doors.pop(key, None)


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives. Raises ClientDisconnect, and ends it, when the client goes away."""
    doing = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({doing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientDisconnect
        return doing.result()
    finally:
        for one in (doing, watching):
            one.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await one


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancel_unwanted(service: Service, door: Door, job_id: str) -> None:
    """The client of a request has gone: so does its job, if it was the last one."""
    async with door.turn:
        if door.waiting > 1:
            return
        with suppress(JobFinished, JobNotFound):
            await asyncio.to_thread(lambda: service.desk.cancel(job_id))


async def progress(service: Service, job: Job) -> AsyncGenerator[None]:
    """Something whenever more of it was heard, until it is done.

    Raises what it failed with, JobCancelled, BusyError when nothing works on it or this process
    stops.
    """
    if job.state == "done":
        return
    wanted = Wanted(job_id=job.id)
    idle_s = -LOOK_S  # the first look comes at once
    found = service.broker.events(wanted, _nothing, heartbeat_s=LOOK_S)
    async with aclosing(found) as events:
        async for event in events:
            if event is None:  # also the first: from here on nothing is missed
                now = await asyncio.to_thread(lambda: service.desk.job(job.id))
                if _is_done(now):
                    return
                idle_s = await _idle_s(service, idle_s)
                continue
            idle_s = 0.0
            if event.kind == "job.progress":
                yield
            elif event.kind in {"job.done", "job.failed", "job.cancelled"}:
                now = await asyncio.to_thread(lambda: service.desk.job(job.id))
                if _is_done(now):
                    return
    raise BusyError("The service is stopping.", retry_after_s=_RETRY_AFTER_S)


def _nothing(after: int) -> Sequence[Event]:
    del after
    return ()


def _is_done(job: Job) -> bool:
    """Raises for a job that ended without a text."""
    if job.state == "failed":
        assert job.error is not None
        raise failure(job.error.code, job.error.message)
    if job.state == "cancelled":
        raise JobCancelled("The transcription was cancelled.")
    return job.state == "done"


async def _idle_s(service: Service, idle_s: float) -> float:
    """How long in vain, while no worker or no engine is there; 0 where there is hope."""
    if idle_s < 0.0:
        return 0.0
    parts = await service.readiness.parts()
    if parts["worker"].is_ready and parts["engine"].is_ready:
        return 0.0
    if idle_s >= _DEAD_AFTER_S:
        raise BusyError(
            "Nothing transcribes now.", "Try again later.", retry_after_s=_RETRY_AFTER_S
        )
    return idle_s + LOOK_S


def failure(code: str, message: str) -> LingtingError:
    """The error that a job or a clip failed with, as it was stored."""
    found = by_code(code) or FaultError
    if issubclass(found, FaultError | BusyError | RequestError):
        return found(message, "")
    return FaultError(message, "")
