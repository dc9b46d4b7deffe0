"""Models: which there are, which are installed here, and which an engine host has at work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter

from lingting.answers import ModelState
from lingting.server.asking import Reader, TheService
from lingting.server.health import engine_addresses
from lingting.server.routes.state import engine_status
from lingting.server.service import Service

router = APIRouter(tags=["models"])


@dataclass(frozen=True, slots=True)
class ModelList:
    items: Sequence[ModelState]
    hosts: int
    """How many engine hosts are set up."""
    hosts_answering: int


@router.get("/models")
async def list_models(service: TheService, who: Reader) -> ModelList:
    """The catalogue's, and what engine hosts serve besides."""
    del who
    told = await asyncio.gather(*map(engine_status, engine_addresses(service.settings)))
    served: dict[str, list[Mapping[str, Any]]] = {}
    for host in told:
        for name, state in (host.get("status") or {}).get("models", {}).items():
            served.setdefault(name, []).append(state)
    listed = await asyncio.to_thread(_catalogue, service)
    items = [_state(served.pop(one.id, []), one) for one in listed]
    items += [_state(states, _unlisted(name)) for name, states in sorted(served.items())]
    return ModelList(items, len(told), sum(1 for host in told if host["is_answering"]))


def _catalogue(service: Service) -> list[ModelState]:
    """A few ``stat`` calls each."""
    from lingting.models import Library, catalogue

    library = Library(catalogue(), service.settings.models_dir)
    return [
        ModelState(
            model.id, model.task, model.languages, model.licence, model.size_bytes or None,
            library.status(model).value, (), 0.0,
        )
        for model in library.catalogue.models
    ]  # fmt: skip


def _unlisted(name: str) -> ModelState:
    return ModelState(name, None, (), None, None, "missing", (), 0.0)


def _state(states: Sequence[Mapping[str, Any]], model: ModelState) -> ModelState:
    waiting_s = sum(
        lane.get("audio_s", 0.0) for state in states for lane in state.get("waiting", {}).values()
    )
    return replace(
        model, hosts=[str(state.get("state", "unknown")) for state in states],
        waiting_s=round(waiting_s, 3),
    )  # fmt: skip
