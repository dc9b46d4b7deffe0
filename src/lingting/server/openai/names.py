"""Names of models: those that engine hosts have, and OpenAI's, for the default one here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from lingting.errors import ModelUnknown
from lingting.server.health import engine_addresses, engine_client, remote_key

if TYPE_CHECKING:
    from lingting.server.service import Service

AUTO = "auto"
ALIASES = (
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
    "whisper-1",
)
_REMEMBERED_S = 2.0
_MOST_CHARS = 200
_OWNER = "lingting"


@dataclass(frozen=True, slots=True)
class Names:
    """Which names a request may use now."""

    local: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Models of engine hosts, as they list them."""
    is_known: bool = False
    """A host has answered; else anything that looks like a name may be one."""

    def model(self, name: str) -> str:
        """What a job is given for it. Raises ModelUnknown."""
        if name in ALIASES or name == AUTO:
            return AUTO
        if name in self.local:
            return name
        if self.is_known or not 0 < len(name) <= _MOST_CHARS or not name.isprintable():
            raise ModelUnknown("No model here has this name.", "See GET /v1/models.")
        return name

    def entries(self) -> list[dict[str, Any]]:
        """All of them in OpenAI's form: models first, then names for the default one."""
        default = self._default()
        return [
            *(_entry(name, one.get("created"), one.get("owned_by")) for name, one in
              self.local.items()),
            *(_entry(alias, None, None, runs=default) for alias in (AUTO, *ALIASES)),
        ]  # fmt: skip

    def entry(self, name: str) -> dict[str, Any]:
        """Raises ModelUnknown."""
        for one in self.entries():
            if one["id"] == name:
                return one
        raise ModelUnknown("No model here has this name.", "See GET /v1/models.")

    def _default(self) -> str | None:
        for name, one in self.local.items():
            told = one.get("lingting")
            if isinstance(told, Mapping) and told.get("default"):
                return name
        return next(iter(self.local), None)


def _entry(name: str, created: Any, owner: Any, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": name,
        "object": "model",
        "created": created if isinstance(created, int) else 0,
        "owned_by": owner if isinstance(owner, str) else _OWNER,
    }
    return {**found, "lingting": more} if more else found


class Models:
    """Asks the hosts, at most every two seconds; what they said last holds while none answers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turn = asyncio.Lock()
        self._found = Names()
        self._asked_s = -_REMEMBERED_S

    async def names(self) -> Names:
        async with self._turn:
            if time.monotonic() - self._asked_s >= _REMEMBERED_S:
                addresses = engine_addresses(self._service.settings)
                key = remote_key(self._service.settings)
                listed = await asyncio.gather(*(_listed(one, key) for one in addresses))
                if any(one is not None for one in listed):
                    local = {name: one for some in listed if some for name, one in some.items()}
                    self._found = Names(local, is_known=True)
                self._asked_s = time.monotonic()
            return self._found


async def _listed(address: str, key: str | None) -> dict[str, Mapping[str, Any]] | None:
    """Models of a host; None when it does not answer, or not like a host."""
    try:
        async with engine_client(address, key) as client:
            answer = await client.get("/v1/models")
            told = answer.json()["data"] if answer.is_success else None
        return None if told is None else {str(one["id"]): one for one in told}
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, KeyError, TypeError):
        return None
