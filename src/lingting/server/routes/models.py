"""Models: which there are, which are installed here, and which an engine host has at work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query

from lingting.answers import Cleared, HostedState, ModelList, ModelState
from lingting.errors import ModelUnknown
from lingting.server.asking import Administrator, Reader, TheService
from lingting.server.engines import Seen
from lingting.server.principal import Principal
from lingting.server.service import Service

router = APIRouter(tags=["models"])
Engine = Annotated[
    str | None, Query(max_length=200, description="One engine host by name; unset, all of them.")
]


@router.get("/models")
async def list_models(service: TheService, who: Reader) -> ModelList:
    """The catalogue's, and what engine hosts serve besides."""
    seen = await service.engines.look()
    engines = [one.state() for one in seen] if who.is_admin else []
    answering = sum(1 for one in seen if one.is_answering)
    return ModelList(await _states(service, seen), len(seen), answering, engines)


@router.get("/models/{id}")
async def show_model(service: TheService, who: Reader, id: str) -> ModelState:
    """One of them: where it is loaded, and how far its download is."""
    del who
    return await _state(service, id)


@router.post("/models/{id}/load", status_code=202)
async def load(
    service: TheService, who: Administrator, id: str, engine: Engine = None
) -> ModelState:
    """Engine hosts load it; `on` of the model says when it is ready, or why not."""
    return await _ordered(service, who, id, "load", engine)


@router.post("/models/{id}/unload", status_code=202)
async def unload(
    service: TheService, who: Administrator, id: str, engine: Engine = None
) -> ModelState:
    """Engine hosts free its memory; the next clip loads it again. 503 while clips wait for it."""
    return await _ordered(service, who, id, "unload", engine)


@router.post("/models/{id}/pull", status_code=202)
async def pull(service: TheService, who: Administrator, id: str) -> ModelState:
    """Download it to this machine; `pull` of the model says how far it is."""
    await asyncio.to_thread(_begin_pull, service, who, id)
    return await _state(service, id)


@router.post("/engines/clear", status_code=202)
async def clear(service: TheService, who: Administrator, engine: Engine = None) -> Cleared:
    """Engine hosts give back memory that they hold without using it, the GPU's too."""
    names = await service.engines.clear(engine)
    await asyncio.to_thread(
        _note, service, who, "engine.cleared", "engine", engine or "all", hosts=len(names)
    )
    return Cleared(names)


async def _ordered(
    service: Service, who: Principal, id: str, what: str, engine: str | None
) -> ModelState:
    names = await service.engines.order(id, what, engine)
    action = "model.loaded" if what == "load" else "model.unloaded"
    await asyncio.to_thread(_note, service, who, action, "model", id, hosts=len(names))
    return await _state(service, id)


def _begin_pull(service: Service, who: Principal, id: str) -> None:
    if service.pulls.start(id):
        _note(service, who, "model.pulled", "model", id)


def _note(
    service: Service, who: Principal, action: str, kind: str, object_id: str, **details: int
) -> None:
    from lingting.store import audit

    with service.store.database.write() as session:
        audit.note(session, who.actor, action, kind, object_id, **details)


async def _state(service: Service, id: str) -> ModelState:
    for one in await _states(service, await service.engines.look()):
        if one.id == id:
            return one
    raise ModelUnknown("There is no such model.", "GET /api/v1/models lists them.")


async def _states(service: Service, seen: Sequence[Seen]) -> list[ModelState]:
    """Those of the catalogue, then what hosts have besides, by name."""
    served: dict[str, list[HostedState]] = {}
    for host in seen:
        for name, state in host.hosted().items():
            served.setdefault(name, []).append(state)
    listed = await asyncio.to_thread(_catalogue, service)
    found = [_with(one, served.pop(one.id, [])) for one in listed]
    return found + [_with(_unlisted(name), states) for name, states in sorted(served.items())]


def _catalogue(service: Service) -> list[ModelState]:
    """A few ``stat`` calls each."""
    from lingting.models import Library, catalogue

    library = Library(catalogue(), service.settings.models_dir)
    return [
        ModelState(
            model.id, model.task, model.languages, model.licence, model.size_bytes or None,
            library.status(model).value, (), 0.0, pull=service.pulls.state(model.id),
        )
        for model in library.catalogue.models
    ]  # fmt: skip


def _unlisted(name: str) -> ModelState:
    return ModelState(name, None, (), None, None, "missing", (), 0.0)


def _with(model: ModelState, states: Sequence[HostedState]) -> ModelState:
    return replace(
        model, hosts=[one.state for one in states],
        waiting_s=round(sum(one.waiting_s for one in states), 3),
        is_default=any(one.is_default for one in states), on=states,
    )  # fmt: skip
