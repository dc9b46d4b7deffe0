"""Whether the service lives, and whether it can do its work.

``/healthz`` is answered by the event loop alone. ``/readyz`` asks the database, the blob store, the
workers and the engine hosts, all at once and each for at most two seconds; what was found is shared
by everybody who asks within a second.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from lingting.errors import LingtingError

if TYPE_CHECKING:
    from lingting.server.service import Service

_REMEMBERED_S = 1.0
_PATIENCE_S = 2.0
WORKER_SILENCE_S = 30.0
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody. For places without TLS: reading whom the system trusts takes 25 ms each time."""
_LEAST_FREE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that must work. ``reason`` is a code, never a name or an address."""

    is_ready: bool
    reason: str | None = None


class Readiness:
    """The truth about the parts of the service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turn = asyncio.Lock()
        self._found: tuple[float, dict[str, Part]] = (-1e9, {})
        self._looks: dict[str, asyncio.Task[Part]] = {}
        """The last at each part: one that hangs holds one thread, for it is not begun again."""

    async def parts(self) -> dict[str, Part]:
        async with self._turn:
            if time.monotonic() - self._found[0] > _REMEMBERED_S:
                parts = await self._look()
                self._found = (time.monotonic(), parts)
            return self._found[1]

    async def as_dict(self) -> dict[str, Any]:
        parts = await self.parts()
        return {
            "is_ready": all(part.is_ready for part in parts.values()),
            "parts": {name: asdict(part) for name, part in parts.items()},
        }

    async def _look(self) -> dict[str, Part]:
        looks: dict[str, Callable[[], Awaitable[Part]]] = {
            "database": lambda: asyncio.to_thread(self._database),
            "blobs": lambda: asyncio.to_thread(self._blobs),
            "worker": lambda: asyncio.to_thread(self._worker),
            "engine": self._engine,
        }
        for name, look in looks.items():
            last = self._looks.get(name)
            if last is None or last.done():
                self._looks[name] = asyncio.create_task(_looked(look), name=f"look at {name}")
        await asyncio.wait(self._looks.values(), timeout=_PATIENCE_S)
        return {
            name: task.result() if task.done() else Part(False, "too.slow")
            for name, task in self._looks.items()
        }

    def _database(self) -> Part:
        self._service.store.setting("nothing")
        return Part(True)

    def _blobs(self) -> Part:
        self._service.store.blobs.has("0" * 64)
        stats = os.statvfs(self._service.settings.data_folder)
        if stats.f_bavail * stats.f_frsize < _LEAST_FREE_BYTES:
            return Part(False, "disk.full")
        return Part(True)

    def _worker(self) -> Part:
        # A dead worker is only marked by another one, so its last sign of life counts as well.
        since = datetime.now(UTC) - timedelta(seconds=WORKER_SILENCE_S)
        workers = self._service.desk.workers()
        is_there = any(worker.is_live and worker.seen_at > since for worker in workers)
        return Part(True) if is_there else Part(False, "worker.none")

    async def _engine(self) -> Part:
        reasons = []
        for address in engine_addresses(self._service.settings):
            reason = await engine_problem(address, remote_key(self._service.settings))
            if reason is None:
                return Part(True)
            reasons.append(reason)
        return Part(False, reasons[0])


async def _looked(look: Callable[[], Awaitable[Part]]) -> Part:
    try:
        return await look()
    except LingtingError as error:
        return Part(False, error.code)
    except OSError:
        return Part(False, "system.refused")


def engine_addresses(settings: Any) -> tuple[str, ...]:
    """Where engine hosts listen: those of the settings, or the one of this machine."""
    return tuple(settings.engines) or (f"unix:{settings.engine_socket}",)


def remote_key(settings: Any) -> str | None:
    """What engine hosts beyond this machine ask for."""
    key = settings.remote_key
    return None if key is None else str(key.get_secret_value())


async def engine_problem(address: str, key: str | None = None) -> str | None:
    """None when a host answers and can recognise; else a code."""
    try:
        async with engine_client(address, key) as client:
            answer = await client.get("/readyz")
            if answer.status_code == httpx.codes.NOT_FOUND:  # a server of another make
                answer = await client.get("/v1/models")
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return "engine.unreachable"
    return None if answer.is_success else "engine.not_ready"


def engine_client(
    address: str, key: str | None = None, *, timeout_s: float = _PATIENCE_S
) -> httpx.AsyncClient:
    """For questions about a host; recognising goes through ``engines.remote``."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    if address.startswith("unix:"):
        path = address.removeprefix("unix:").removeprefix("//").partition("#")[0]
        transport = httpx.AsyncHTTPTransport(uds=path, verify=_NO_TLS)
        return httpx.AsyncClient(
            transport=transport, base_url="http://engine", timeout=timeout_s, trust_env=False,
            headers=headers,
        )  # fmt: skip
    base = address.partition("#")[0].rstrip("/").removesuffix("/v1")
    verify = True if base.startswith("https:") else _NO_TLS
    return httpx.AsyncClient(
        base_url=base, timeout=timeout_s, trust_env=False, verify=verify, headers=headers
    )
