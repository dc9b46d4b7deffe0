"""OpenAI's API of the service beside the library alone on the same files.

    python bench/openai_http.py [--limit 60] [--clients 4] [--rounds 3] [--json FILE]

The library transcribes the set in one fresh process, its model loaded and warm before the clock.
Then so many clients send the same files to ``/v1/audio/transcriptions``, each the next one as soon
as it has the text of the one before, and the clock runs from the first request to the last answer.
The service is started anew for every round, in an empty folder, its model warm as well. The ratio
is the service's throughput by the library's; every text is compared with the library's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx

from lingting.evaluate.manifest import Manifest, Row
from running import RunningService, cpu_s, running_service
from service import Watched, arguments, compare, through_library, watching

_PATIENCE_S = 600.0


@dataclass
class Round:
    """One library run and one run of clients."""

    clients: int
    library_s: float
    clients_s: float
    answers_s: list[float]
    watched: Watched
    equal: int
    failed: int

    @property
    def ratio(self) -> float:
        return self.library_s / self.clients_s


class Clients:
    """Threads that take the next file from one list."""

    def __init__(self, service: RunningService, rows: tuple[Row, ...]) -> None:
        self._left = deque(rows)
        self._service = service
        self.texts: dict[str, str] = {}
        self.answers_s: list[float] = []
        self.failed = 0

    def run(self, count: int) -> float:
        """Wall seconds."""
        threads = [threading.Thread(target=self._work) for _ in range(count)]
        began_s = time.perf_counter()
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        return time.perf_counter() - began_s

    def _work(self) -> None:
        key = self._service.key()
        with httpx.Client(
            base_url=f"{self._service.url}/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=_PATIENCE_S,
        ) as http:
            while True:
                try:
                    row = self._left.popleft()
                except IndexError:
                    return
                began_s = time.perf_counter()
                answer = ask(http, row)
                self.answers_s.append(time.perf_counter() - began_s)
                if answer.is_success:
                    self.texts[row.file] = answer.json()["text"]
                else:
                    self.failed += 1


def ask(http: httpx.Client, row: Row, **more: str) -> httpx.Response:
    fields = {"model": "gpt-4o-transcribe", **more}
    if row.engine_language:
        fields["language"] = row.engine_language
    with row.path.open("rb") as audio:
        return http.post("/audio/transcriptions", data=fields, files={"file": (row.file, audio)})


def through_clients(manifest: Manifest, model: str, count: int) -> tuple[float, Clients, Watched]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        environment = {"LINGTING_MODEL": model, "LINGTING_DEVICE": "cpu"}
        with running_service(place / "data", place / "log", environment) as service:
            service.wait_ready()
            headers = {"Authorization": f"Bearer {service.key()}"}
            with httpx.Client(
                base_url=f"{service.url}/v1", headers=headers, timeout=_PATIENCE_S
            ) as http:
                for row in manifest.rows[:2]:
                    ask(http, row, prompt="warm").raise_for_status()
            clients = Clients(service, manifest.rows)
            before = {name: cpu_s(pid) for name, pid in service.pids().items()}
            with watching(service) as seen:
                wall_s = clients.run(count)
            seen.cpu = {name: spent - before.get(name, 0.0) for name, spent in seen.cpu.items()}
    return wall_s, clients, seen


def one_round(given: argparse.Namespace, manifest: Manifest, model: str) -> Round:
    library_s, expected = through_library(given, model)
    clients_s, clients, seen = through_clients(manifest, model, given.clients)
    equal = sum(clients.texts.get(file) == text for file, text in expected.items())
    return Round(
        given.clients, library_s, clients_s, clients.answers_s, seen, equal, clients.failed
    )


def as_dict(one: Round) -> dict[str, Any]:
    cuts = quantiles(one.answers_s, n=20) if len(one.answers_s) > 1 else [0.0] * 19
    return {
        "clients": one.clients,
        "library_s": round(one.library_s, 2),
        "clients_s": round(one.clients_s, 2),
        "throughput_ratio": round(one.ratio, 3),
        "answer_median_s": round(cuts[9], 2),
        "answer_p95_s": round(cuts[18], 2),
        "healthz_p95_ms": round(one.watched.p95_ms(), 1),
        "healthz_not_ok": one.watched.not_ok,
        "peak_rss_mib": {name: size >> 20 for name, size in one.watched.peak_rss.items()},
        "cpu_s": {name: round(spent, 1) for name, spent in one.watched.cpu.items()},
        "equal_texts": one.equal,
        "failed": one.failed,
    }


def main() -> None:
    parser = arguments("OpenAI's API beside the library.")
    parser.add_argument("--clients", type=int, default=4)
    given = parser.parse_args()
    print(f"{given.clients} clients")
    compare("openai_http", given, one_round, as_dict, "throughput, clients / library")


if __name__ == "__main__":
    sys.exit(main())
