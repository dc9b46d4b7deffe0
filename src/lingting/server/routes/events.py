"""What happens to jobs, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from lingting.errors import OptionInvalid
from lingting.jobs import Event
from lingting.server.asking import Reader, TheService, is_still
from lingting.server.broker import Wanted
from lingting.server.principal import Principal
from lingting.server.routes.jobs import check_batch, job_of
from lingting.server.service import EVENTS_AT_ONCE, Service

router = APIRouter(tags=["events"])

HEARTBEAT_S = 15.0
CHECKED_S = 10.0
"""Whether the listener may still hear it is looked at no more often."""
_RETRY_MS = 2_000


@router.get("/events", response_class=StreamingResponse)
async def events(
    request: Request,
    service: TheService,
    who: Reader,
    after: Annotated[int | None, Query(ge=0, description="Go on behind this event.")] = None,
    last_event_id: Annotated[str | None, Header()] = None,
    job: Annotated[str | None, Query(max_length=40)] = None,
    batch: Annotated[str | None, Query(max_length=40)] = None,
) -> StreamingResponse:
    """Events of one's own jobs and batches, new ones only unless told where to begin.

    Each has an id; a browser that reconnects sends it as `Last-Event-ID` and misses nothing. They
    are kept for a week.
    """
    await asyncio.to_thread(_check, service, who, job, batch)
    wanted = Wanted(who.sees, job, batch)
    begin = _place(last_event_id) if last_event_id else after

    def missed(behind: int) -> Sequence[Event]:
        return service.desk.events(
            behind, sight=wanted.sight, job_id=job, batch_id=batch, limit=EVENTS_AT_ONCE
        )

    found = service.broker.events(wanted, missed, after=begin, heartbeat_s=HEARTBEAT_S)
    await anext(found)  # among the listeners now, or refused while it can still be said
    return StreamingResponse(
        _lines(found, lambda: is_still(request, who)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(
    found: AsyncGenerator[Event | None], is_still_good: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[str]:
    """Ends for whoever's key was revoked, or sees other things than before."""
    yield f"retry: {_RETRY_MS}\n\n: here\n\n"
    looked_s = time.monotonic()
    try:
        async for event in found:
            if time.monotonic() - looked_s > CHECKED_S:
                if not await is_still_good():
                    return
                looked_s = time.monotonic()
            yield ": here\n\n" if event is None else line_of(event)
    finally:
        await found.aclose()


def line_of(event: Event) -> str:
    """One event on the wire."""
    body = {
        "id": event.id, "at": event.at.isoformat(), "kind": event.kind, "job_id": event.job_id,
        "batch_id": event.batch_id, "data": dict(event.data),
    }  # fmt: skip
    data = json.dumps(body, ensure_ascii=False)
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n"


def _place(header: str) -> int:
    if not header.isascii() or not header.isdecimal() or len(header) > 18:
        raise OptionInvalid("Last-Event-ID is no id of an event.", "Send the id of an event.")
    return int(header)


def _check(service: Service, who: Principal, job: str | None, batch: str | None) -> None:
    """What somebody asks for by name must be theirs."""
    if job is not None:
        job_of(service, who, job)
    if batch is not None:
        check_batch(service, who, batch)
