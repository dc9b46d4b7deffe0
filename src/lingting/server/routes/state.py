"""How the service is: for supervisors and balancers without a key, in detail with one."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from lingting import __version__
from lingting.server.asking import Anybody, Reader, TheService
from lingting.server.health import engine_addresses, engine_client, remote_key
from lingting.server.views import Status

open_router = APIRouter(tags=["state"])
router = APIRouter(tags=["state"])


@open_router.head("/healthz", include_in_schema=False)
@open_router.get("/healthz")
async def healthz() -> JSONResponse:
    """The process lives. Asks nobody else."""
    return JSONResponse({"status": "ok"})


@open_router.get("/readyz")
async def readyz(service: TheService) -> JSONResponse:
    """Whether recordings can be taken in and will be transcribed; 503 with the reason if not."""
    found = await service.readiness.as_dict()
    return JSONResponse(found, status_code=200 if found["is_ready"] else 503)


@router.get("/status")
async def status(service: TheService, who: Reader) -> Status:
    """Parts, workers and engine hosts. Workers and hosts are shown to administrators."""
    ready = await service.readiness.as_dict()
    counts: dict[str, int] = dict(
        (await asyncio.to_thread(lambda: service.desk.counts(sight=who.sees))).items()
    )
    workers: list[dict[str, Any]] = []
    engines: list[dict[str, Any]] = []
    if who.is_admin:
        workers = [asdict(one) for one in await asyncio.to_thread(lambda: service.desk.workers())]
        engines = list(
            await asyncio.gather(
                *(
                    engine_status(one, remote_key(service.settings))
                    for one in engine_addresses(service.settings)
                )
            )
        )
    return Status(__version__, ready["is_ready"], ready["parts"], counts, workers, engines)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request, who: Anybody) -> JSONResponse:
    """This API in the form of OpenAPI 3.1."""
    del who
    return JSONResponse(request.app.openapi())


async def engine_status(address: str, key: str | None = None) -> dict[str, Any]:
    """What a host of ours tells about itself, or that it does not answer."""
    place = "unix" if address.startswith("unix:") else address.partition("#")[0]
    try:
        async with engine_client(address, key) as client:
            answer = await client.get("/status")
            told = answer.json() if answer.is_success else {}
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        return {"address": place, "is_answering": False}
    return {"address": place, "is_answering": True, "status": told}
