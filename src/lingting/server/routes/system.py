"""The machine, its processes and the last hour: for administrators."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from lingting.answers import System
from lingting.server import system
from lingting.server.asking import Administrator, TheService
from lingting.server.principal import Principal
from lingting.server.service import Service

router = APIRouter(tags=["system"])


@router.get("/system")
async def show_system(service: TheService, who: Administrator) -> System:
    """Machine, processes, and samples of the last hour, one every ten seconds."""
    del who
    return await system.system_of(service)


@router.post("/processes/{name}/restart", status_code=202, response_class=Response)
async def restart(
    service: TheService, who: Administrator, name: Literal["web", "worker", "engine"]
) -> Response:
    """End a process of `lingting serve` in good order, so that it starts again with its settings.

    What is under way goes on behind its last step. 409 where something else runs it.
    """
    system.end_soon(await asyncio.to_thread(_noted, service, who, name))
    return Response(status_code=202)


def _noted(service: Service, who: Principal, name: str) -> int:
    """Its number."""
    from lingting.store import audit

    pid = system.supervised(service, name)
    with service.store.database.write() as session:
        audit.note(session, who.actor, "process.restarted", "process", name)
    return pid
