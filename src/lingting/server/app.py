"""The application: routes, what stands around them, and what runs beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import Depends, FastAPI

from lingting import __version__
from lingting.config import Settings
from lingting.errors import LingtingError
from lingting.server import problems
from lingting.server.asking import principal_of
from lingting.server.guard import Guard, Patience
from lingting.server.mcp import Mcp
from lingting.server.observing import Observed
from lingting.server.openai import routes as openai
from lingting.server.pages import router as pages
from lingting.server.routes import (
    audit,
    backups,
    departments,
    docs,
    events,
    exports,
    from_url,
    glossaries,
    history,
    jobs,
    keys,
    metrics,
    models,
    notes,
    recordings,
    retention,
    samples,
    search,
    shares,
    speech,
    state,
    system,
    transcripts,
    uploads,
    users,
    webhooks,
)
from lingting.server.routes import (
    settings as settings_routes,
)
from lingting.server.service import Service
from lingting.server.workspace import Workspace

log = logging.getLogger("lingting.server")

_ROUTE_THREADS = 8
_OTHER_THREADS = 6
"""Together fewer than the connections of a database's pool, so that none waits for one."""
_SWEEP_EVERY_S = 300.0


def create_app(settings: Settings, *, patience: Patience | None = None) -> FastAPI:
    """The web process. Nothing is opened before the first request."""
    service = Service(settings, patience=patience)
    app = FastAPI(
        title="Lingting",
        version=__version__,
        summary="Speech to text on your own machines.",
        lifespan=_lifespan,
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        openapi_url=None,  # see state
        separate_input_output_schemas=False,
    )
    app.state.service = service
    app.state.mcp = Mcp(app)
    app.state.workspace = Workspace() if settings.pages else None
    problems.install(app)
    _add_routes(app)
    app.add_middleware(Guard, patience=service.patience, is_secure=service.is_secure)
    app.add_middleware(Observed, metrics=service.metrics)
    return app


def _add_routes(app: FastAPI) -> None:
    app.router.routes.append(app.state.mcp.route)
    app.include_router(state.open_router)
    app.include_router(metrics.router)
    app.include_router(pages)
    signed_in = [Depends(principal_of)]
    for router in (
        state.router,
        history.router,  # before those with an id in the same place
        recordings.router,
        shares.router,
        transcripts.router,
        notes.router,
        exports.router,
        jobs.router,
        events.router,
        glossaries.router,
        search.router,
        speech.router,
        uploads.router,
        from_url.router,
        samples.router,
        webhooks.router,
        users.router,
        departments.router,
        keys.router,
        settings_routes.router,
        retention.router,
        audit.router,
        backups.router,
        system.router,
        models.router,
        docs.router,
    ):
        app.include_router(router, prefix="/api/v1", dependencies=signed_in)
    app.include_router(openai.router, prefix="/v1", dependencies=signed_in)
    if app.state.workspace is not None:
        app.router.routes.append(app.state.workspace.route)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    service: Service = app.state.service
    workspace: Workspace | None = app.state.workspace
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_OTHER_THREADS, "work"))
    anyio.to_thread.current_default_thread_limiter().total_tokens = _ROUTE_THREADS
    beside = [asyncio.create_task(_sweep(service), name="sweep")]
    if workspace is not None:  # else the first to open a page waits for Gradio
        beside.append(asyncio.create_task(workspace.warm_later(), name="pages"))
    service.sender.start()
    service.observer.start()
    try:
        yield
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await app.state.mcp.close()
        await service.observer.close()
        await service.broker.close()
        await service.engines.close()
        await asyncio.to_thread(service.sender.close)
        await asyncio.to_thread(service.close)


async def _sweep(service: Service) -> None:
    """What was left behind goes now, and now and then what is left behind later."""
    parts: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: asyncio.to_thread(_remove_leftovers, service),
        service.resumables.sweep,
        lambda: asyncio.to_thread(lambda: openai.remove_passing(service.store)),
    )
    while True:
        for part in parts:
            try:
                await part()
            except LingtingError as error:
                log.warning("sweep failed", extra={"code": error.code})
            except Exception as exc:
                log.error("sweep failed", extra={"kind": type(exc).__name__})
        await asyncio.sleep(_SWEEP_EVERY_S)


def _remove_leftovers(service: Service) -> None:
    """Half-written uploads of processes that were killed."""
    removed = service.store.blobs.remove_leftovers()
    if removed:
        log.warning("removed half-written uploads", extra={"files": removed})
