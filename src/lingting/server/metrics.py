"""Figures of the service for Prometheus: counts, seconds and sizes by route, code and state.

What this process does is counted as it happens. What the database, the machine and the engine
hosts know is asked for when somebody scrapes, at most every few seconds, each within two; what
does not answer is left out, and ``lingting_metrics_source_up`` says so. Engine hosts listen on Unix
sockets, where Prometheus cannot reach them, so their pages are shown here, labelled ``engine``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import httpx
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from lingting import __version__
from lingting.errors import LingtingError
from lingting.server.health import WORKER_SILENCE_S, engine_addresses, engine_client, remote_key
from lingting.server.memory import resident_bytes

if TYPE_CHECKING:
    from lingting.server.service import Service

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_REMEMBERED_S = 4.0
_PATIENCE_S = 2.0
_MOST_PAGE_BYTES = 4 << 20
_FAULT = 500
_ENGINE = "lingting_engine_"


class Metrics:
    """Counters of this process; every method is safe from any thread."""

    def __init__(self) -> None:
        self.answered = 0
        """Requests of this process, and those of them that were answered with an error of ours."""
        self.failed = 0
        self._counting = threading.Lock()
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "lingting_http_requests", "Requests answered.", ("method", "route", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "lingting_http_request_seconds", "From the head of a request to the end of its answer.",
            ("method", "route"), buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._under_way = Gauge(
            "lingting_http_requests_under_way", "Requests being answered.", registry=self._registry
        )
        self._errors = Counter(
            "lingting_errors", "Requests answered with an error.", ("code",),
            registry=self._registry,
        )  # fmt: skip
        build = Gauge("lingting_build", "1; the version.", ("version",), registry=self._registry)
        build.labels(__version__).set(1)

    def begun(self) -> None:
        """A request has come."""
        self._under_way.inc()

    def ended(self, method: str, route: str, status: int, took_s: float, code: str | None) -> None:
        """It has ended; status 0 when its client went before there was an answer."""
        self._under_way.dec()
        with self._counting:
            self.answered += 1
            self.failed += status >= _FAULT
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(took_s)
        if code is not None:
            self._errors.labels(code).inc()

    def page(self) -> bytes:
        return generate_latest(self._registry)


class _Found(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class Scrape:
    """The whole page: what was counted, and what others know."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turn = asyncio.Lock()
        self._found: tuple[float, bytes] = (-1e9, b"")

    async def page(self) -> bytes:
        async with self._turn:
            if time.monotonic() - self._found[0] > _REMEMBERED_S:
                self._found = (time.monotonic(), await self._ask())
            return self._service.metrics.page() + self._found[1]

    async def _ask(self) -> bytes:
        service = self._service
        sources = {
            "database": asyncio.to_thread(lambda: list(_stored(service))),
            "machine": asyncio.to_thread(lambda: list(_machine(service))),
            "readiness": self._readiness(),
        }
        asked = await asyncio.gather(*(_patiently(one) for one in sources.values()))
        engines = await self._engines()
        up = GaugeMetricFamily(
            "lingting_metrics_source_up", "1 where a source of figures answered.", labels=["source"]
        )
        families: list[Metric] = [up, *engines]
        for name, found in zip(sources, asked, strict=True):
            up.add_metric([name], found is not None)
            families += found or ()
        registry = CollectorRegistry()
        registry.register(_Found(families))
        return generate_latest(registry)

    async def _readiness(self) -> list[Metric]:
        ready = GaugeMetricFamily(
            "lingting_part_ready", "1 for a part that can do its work.", labels=["part"]
        )
        for name, part in (await self._service.readiness.parts()).items():
            ready.add_metric([name], part.is_ready)
        return [ready]

    async def _engines(self) -> list[Metric]:
        addresses = engine_addresses(self._service.settings)
        pages = await asyncio.gather(*(self._engine_page(one) for one in addresses))
        up = GaugeMetricFamily(
            "lingting_engine_up", "1 for an engine host that answers.", labels=["engine"]
        )
        merged: dict[str, Metric] = {}
        for name, page in zip(engine_names(addresses), pages, strict=True):
            up.add_metric([name], page is not None)
            for family in _own_families(page or ""):
                known = merged.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for one in family.samples:
                    known.add_sample(one.name, {**one.labels, "engine": name}, one.value)
        return [up, *merged.values()]

    async def _engine_page(self, address: str) -> str | None:
        """None of a host that does not answer; "" of a server of another make."""
        key = remote_key(self._service.settings)
        try:
            async with asyncio.timeout(_PATIENCE_S), engine_client(address, key) as client:
                answer = await client.get("/metrics")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError):
            return None
        if not answer.is_success or len(answer.content) > _MOST_PAGE_BYTES:
            return ""
        return answer.text


async def _patiently(source: object) -> list[Metric] | None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await source  # type: ignore[misc, no-any-return]
    except (LingtingError, OSError, TimeoutError):
        return None


def engine_names(addresses: Iterable[str]) -> list[str]:
    """Host and port, or the word unix; numbered where they would be the same."""
    from lingting.engines.remote.address import parse_address, split_address

    names: list[str] = []
    for address in addresses:
        try:
            name = parse_address(split_address(address)[0]).shown
        except LingtingError:
            name = "invalid"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _own_families(page: str) -> Iterator[Metric]:
    """Those of our hosts; a page that cannot be read has none."""
    try:
        for family in text_string_to_metric_families(page):
            if family.name.startswith(_ENGINE) and not family.name.endswith("_created"):
                yield family
    except (ValueError, KeyError, IndexError):
        return


def _stored(service: Service) -> Iterator[Metric]:
    from lingting.store.figures import figures

    found = figures(service.store)
    jobs = GaugeMetricFamily("lingting_jobs", "Jobs by state.", labels=["state"])
    for state, count in found.jobs.items():
        jobs.add_metric([state], count)
    yield jobs
    failed = GaugeMetricFamily("lingting_jobs_failed", "Failed jobs by error.", labels=["code"])
    for code, count in found.failed.items():
        failed.add_metric([code], count)
    yield failed
    depth = GaugeMetricFamily("lingting_queue_jobs", "Jobs that wait.", labels=["lane"])
    age = GaugeMetricFamily(
        "lingting_queue_oldest_seconds", "Since the oldest of them was asked for.", labels=["lane"]
    )
    audio = GaugeMetricFamily("lingting_queue_audio_seconds", "Audio in them.", labels=["lane"])
    for lane, one in found.lanes.items():
        depth.add_metric([lane], one.jobs)
        age.add_metric([lane], one.oldest_s)
        audio.add_metric([lane], one.audio_s)
    yield from (depth, age, audio)
    if found.backup_at_s is not None:
        yield GaugeMetricFamily(
            "lingting_backup_timestamp_seconds", "When the last backup was done.",
            value=found.backup_at_s,
        )  # fmt: skip
    yield from _workers(service)


def _workers(service: Service) -> Iterator[Metric]:
    now_s = time.time()
    seen = service.desk.workers()
    live = [
        one for one in seen if one.is_live and now_s - one.seen_at.timestamp() < WORKER_SILENCE_S
    ]
    workers = GaugeMetricFamily("lingting_workers", "Workers by state.", labels=["state"])
    workers.add_metric(["live"], len(live))
    workers.add_metric(["silent"], sum(one.is_live for one in seen) - len(live))
    yield workers
    yield GaugeMetricFamily(
        "lingting_worker_jobs", "Jobs that workers have taken up.", value=sum(o.jobs for o in live)
    )
    yield GaugeMetricFamily(
        "lingting_rtfx", "Seconds of audio transcribed in a second, all workers together, lately.",
        value=sum(one.speed or 0.0 for one in live),
    )  # fmt: skip
    memory = _memory_family()
    memory.add_metric(["web"], resident_bytes(os.getpid()) or 0)
    here = [resident_bytes(one.pid, command="worker") for one in live]
    if any(here):
        memory.add_metric(["worker"], sum(one or 0 for one in here))
    yield memory


def _memory_family() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lingting_process_resident_bytes",
        "Memory of the processes on this machine, with those they started.", labels=["process"],
    )  # fmt: skip


def _machine(service: Service) -> Iterator[Metric]:
    disk = shutil.disk_usage(service.settings.data_folder)
    yield GaugeMetricFamily(
        "lingting_data_free_bytes", "Free where the data folder is.", value=disk.free
    )
    yield GaugeMetricFamily(
        "lingting_data_size_bytes", "Size of the disk it is on.", value=disk.total
    )
