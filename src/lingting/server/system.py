"""The machine, the processes, and how the last hour went: for the charts of the system page.

The web process looks every ten seconds and keeps 360 looks, some 60 kB. A look costs a count over
an index, a question to each engine host and a few reads of ``/proc``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import shutil
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingting import __version__
from lingting.answers import Machine, Process, Samples, System
from lingting.errors import LingtingError, RequestConflict
from lingting.server import place
from lingting.server.engines import Seen
from lingting.server.health import WORKER_SILENCE_S
from lingting.server.memory import resident_bytes

if TYPE_CHECKING:
    from lingting.server.service import Service

log = logging.getLogger("lingting.server")

EVERY_S = 10.0
KEPT = 360
NAMES = ("web", "worker", "engine")
_PATIENCE_S = 5.0
_ANSWER_FIRST_S = 0.5


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    load: float | None
    queue_jobs: int | None
    queue_audio_s: float | None
    rtfx: float | None
    memory_bytes: int | None
    requests: int | None
    errors: int | None


class Observer:
    """Looks now and then; lives on the event loop of the application."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._samples: deque[_Sample] = deque(maxlen=KEPT)
        self._counted = (0, 0)
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._looking = asyncio.create_task(self._look_on(), name="system")

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except Exception as exc:
                log.warning("system not looked at", extra={"error": type(exc).__name__})

    async def look(self) -> None:
        """Take one sample. What does not answer in time is left out of it."""
        seen = await self._service.engines.look()
        stored: tuple[int, float, float, list[int]] | None = None
        with contextlib.suppress(LingtingError, OSError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                stored = await asyncio.to_thread(self._stored)
        jobs, audio_s, rtfx, workers = stored or (None, None, None, [])
        memory = await asyncio.to_thread(_memory_bytes, workers, seen)
        counted = (self._service.metrics.answered, self._service.metrics.failed)
        requests, errors = counted[0] - self._counted[0], counted[1] - self._counted[1]
        self._counted = counted
        self._samples.append(
            _Sample(
                round(time.time(), 1), _load(), jobs, audio_s, rtfx, memory, requests, errors
            )
        )  # fmt: skip

    def _stored(self) -> tuple[int, float, float, list[int]]:
        """Jobs that wait, their audio, the workers' speed and their processes."""
        from lingting.store.figures import waiting

        jobs, audio_s = waiting(self._service.store)
        live = [one for one in self._service.desk.workers() if _is_there(one)]
        speed = sum(one.speed or 0.0 for one in live)
        return jobs, round(audio_s, 1), round(speed, 2), [one.pid for one in live]

    def samples(self) -> Samples:
        """What was seen, as columns."""
        rows = list(self._samples)
        columns = {
            name: [getattr(row, name) for row in rows] for name in _Sample.__dataclass_fields__
        }
        return Samples(EVERY_S, **columns)


async def system_of(service: Service) -> System:
    """All of it, as it is now."""
    seen = await service.engines.look()
    machine = await asyncio.to_thread(_machine, service)
    processes = await asyncio.to_thread(_processes, service, seen)
    return System(machine, processes, service.observer.samples())


def _machine(service: Service) -> Machine:
    disk = shutil.disk_usage(service.settings.data_folder)
    memory = _meminfo()
    return Machine(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        _load() or 0.0, memory.get("MemTotal"), memory.get("MemAvailable"), disk.free, disk.total,
        platform.python_version(), f"{platform.system()} {platform.machine()}", __version__,
        round((datetime.now(UTC) - service.started_at).total_seconds(), 1),
    )  # fmt: skip


def _processes(service: Service, seen: Sequence[Seen]) -> list[Process]:
    supervised = supervised_pids(service)
    web = Process(
        "web", "web", True, os.getpid(), resident_bytes(os.getpid()), service.started_at,
        supervised.get("web") == os.getpid(),
    )  # fmt: skip
    workers = [
        Process(
            "worker", one.id, _is_there(one), one.pid,
            resident_bytes(one.pid, command="worker") if _is_there(one) else None,
            one.started_at, _is_there(one) and supervised.get("worker") == one.pid,
        )
        for one in service.desk.workers()
    ]  # fmt: skip
    return [web, *workers, *(_engine(one, supervised.get("engine")) for one in seen)]


def _engine(seen: Seen, supervised_pid: int | None) -> Process:
    told = seen.state()
    since = None if told.up_s is None else datetime.now(UTC) - timedelta(seconds=told.up_s)
    is_ours = told.pid is not None and told.pid == supervised_pid and _is_here(seen)
    return Process(
        "engine", seen.name, seen.is_answering, told.pid, told.resident_bytes, since, is_ours
    )


def _is_here(seen: Seen) -> bool:
    return seen.address.startswith("unix:")


def _is_there(worker: Any) -> bool:
    return bool(worker.is_live) and time.time() - worker.seen_at.timestamp() < WORKER_SILENCE_S


def _memory_bytes(workers: Sequence[int], seen: Sequence[Seen]) -> int:
    """Of this process, workers of this machine, and engine hosts on its sockets."""
    found = [resident_bytes(os.getpid())]
    found += [resident_bytes(pid, command="worker") for pid in workers]
    found += [one.state().resident_bytes for one in seen if _is_here(one)]
    return sum(one or 0 for one in found)


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _meminfo() -> dict[str, int]:
    """Bytes by the kernel's names; nothing where there is no ``/proc``."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    rows = (line.split() for line in lines)
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) > 1}


# Processes of `lingting serve` -----------------------------------------------------------------


def supervised_pids(service: Service) -> dict[str, int]:
    """Those that `lingting serve` on this data folder runs now; none without it. May block."""
    settings = service.settings
    if not place.is_running(settings):
        return {}
    told = (place.read_state(settings) or {}).get("processes")
    if not isinstance(told, dict):
        return {}
    return {
        name: one["pid"]
        for name, one in told.items()
        if isinstance(one, dict) and isinstance(one.get("pid"), int)
    }


def supervised(service: Service, name: str) -> int:
    """The process that is started again when it ends. May block.

    Raises RequestConflict where nobody would start it again.
    """
    pid = supervised_pids(service).get(name)
    is_there = pid is not None and resident_bytes(pid, command=name) is not None
    if pid is None or not is_there or (name == "web" and pid != os.getpid()):
        raise RequestConflict(
            f"No `lingting serve` of this machine runs the {name} process.",
            "Restart it where it was started, as with systemctl or docker compose.",
        )
    return pid


def end_soon(pid: int) -> None:
    """In good order, once the answer is on its way: the process may be this one. On the loop."""
    asyncio.get_running_loop().call_later(_ANSWER_FIRST_S, _end, pid)


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
