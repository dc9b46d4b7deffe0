"""A batch through the whole service beside the library alone on the same files.

    python bench/service.py [--rounds 3] [--json FILE]

The library transcribes the set in one fresh process, its model loaded and warm before the clock.
The service is started anew for every round, in an empty folder, its model warm as well; the clock
runs from the first upload over HTTP until the batch is done, all transcripts stored. Rounds go
through both again (A B A B …) and the ratio is the median of the rounds' ratios. Meanwhile
`/healthz` is asked five times a second, and the memory of each process is read. Every transcript of
the service is compared with the library's.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from lingting.cli.loading import EngineRequest, automatic_model
from lingting.cli.measuring import OURS, Heard, Measurement, measure
from lingting.evaluate.machine import read_machine
from lingting.evaluate.manifest import Manifest, Row, read_manifest
from running import RunningService, cpu_s, rss_bytes, running_service

SPEECH = Path(__file__).resolve().parents[2] / "shared" / "speech" / "manifest.jsonl"
_LOOK_S = 0.2
_POLL_S = 0.5  # the batch: as often as a page would, and the measured time is late by that at most


@dataclass
class Watched:
    """What was seen of a service while it worked."""

    healthz_s: list[float] = field(default_factory=list)
    peak_rss: dict[str, int] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    not_ok: int = 0

    def look(self, service: RunningService, http: httpx.Client) -> None:
        began_s = time.perf_counter()
        try:
            self.not_ok += http.get("/healthz").status_code != 200
        except httpx.HTTPError:
            self.not_ok += 1
        self.healthz_s.append(time.perf_counter() - began_s)
        for name, pid in service.pids().items():
            self.peak_rss[name] = max(self.peak_rss.get(name, 0), rss_bytes(pid))
            self.cpu[name] = cpu_s(pid)

    def p95_ms(self) -> float:
        ordered = sorted(self.healthz_s)
        return 1000 * ordered[max(0, math.ceil(0.95 * len(ordered)) - 1)] if ordered else math.nan


@dataclass
class Round:
    """One library run and one service run."""

    library_s: float
    service_s: float
    watched: Watched
    equal: int
    failed: int

    @property
    def ratio(self) -> float:
        return self.service_s / self.library_s


@contextmanager
def watching(service: RunningService) -> Iterator[Watched]:
    seen, stop = Watched(), threading.Event()

    def look() -> None:
        with httpx.Client(base_url=service.url, timeout=10.0) as http:
            while not stop.wait(_LOOK_S):
                seen.look(service, http)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def through_library(given: argparse.Namespace, model: str) -> tuple[float, dict[str, str]]:
    """Wall seconds and the text of each file."""
    texts: dict[str, str] = {}

    def keep(heard: Heard) -> None:
        texts[heard.file] = heard.text

    wanted = Measurement(
        OURS, given.manifest, given.limit, EngineRequest(model, device="cpu"), has_warm_up=True
    )
    return measure(wanted, keep).cost.wall_s, texts


def options_of(row: Row) -> dict[str, Any]:
    return {"language": row.engine_language} if row.engine_language else {}


def through_service(manifest: Manifest, model: str) -> tuple[float, dict[str, str], Watched, int]:
    """Wall seconds, texts by file, what was seen, and how many jobs failed."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        environment = {"LINGTING_MODEL": model, "LINGTING_DEVICE": "cpu"}
        with running_service(place / "data", place / "log", environment) as service:
            service.wait_ready()
            with service.client() as client:
                first = manifest.rows[0]
                client.wait(client.submit(first.path, name="warm", options=options_of(first)).id)
                with watching(service) as seen:
                    began_s = time.perf_counter()
                    batch = client.open_batch("bench")
                    jobs = {
                        row.file: client.submit(
                            row.path, name=row.file, options=options_of(row), batch_id=batch.id
                        ).id
                        for row in manifest.rows
                    }
                    while client.batch(batch.id).state in ("queued", "running"):
                        time.sleep(_POLL_S)
                    wall_s = time.perf_counter() - began_s
                done = {file: client.job(job) for file, job in jobs.items()}
                texts = {
                    file: client.transcript(job.recording_id).text
                    for file, job in done.items()
                    if job.state == "done"
                }
    return wall_s, texts, seen, sum(one.state != "done" for one in done.values())


def one_round(given: argparse.Namespace, manifest: Manifest, model: str) -> Round:
    library_s, expected = through_library(given, model)
    service_s, found, seen, failed = through_service(manifest, model)
    equal = sum(found.get(file) == text for file, text in expected.items())
    return Round(library_s, service_s, seen, equal, failed)


def as_dict(one: Round) -> dict[str, Any]:
    return {
        "library_s": round(one.library_s, 2),
        "service_s": round(one.service_s, 2),
        "ratio": round(one.ratio, 3),
        "healthz_p95_ms": round(one.watched.p95_ms(), 1),
        "healthz_asked": len(one.watched.healthz_s),
        "healthz_not_ok": one.watched.not_ok,
        "peak_rss_mib": {name: size >> 20 for name, size in one.watched.peak_rss.items()},
        "cpu_s": {name: round(spent, 1) for name, spent in one.watched.cpu.items()},
        "equal_transcripts": one.equal,
        "failed": one.failed,
    }


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--manifest", type=Path, default=SPEECH)
    parser.add_argument("--limit", type=int, help="only the first rows")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


def compare(
    name: str,
    given: argparse.Namespace,
    one_round: Callable[[argparse.Namespace, Manifest, str], Any],
    as_dict: Callable[[Any], dict[str, Any]],
    what: str,
) -> None:
    """All rounds, printed and written; ``what`` says what the median of their ratios is."""
    manifest = read_manifest(given.manifest, limit=given.limit)
    model = automatic_model() if given.model == "auto" else given.model
    machine = read_machine()
    print(f"{len(manifest.rows)} files, {model}; {machine.cores} cores, {machine.cpu}")
    rounds = []
    for number in range(1, given.rounds + 1):
        rounds.append(one_round(given, manifest, model))
        print(f"round {number}: {json.dumps(as_dict(rounds[-1]))}", flush=True)
    ratio = median(one.ratio for one in rounds)
    print(f"{what}: {ratio:.3f} (median of {len(rounds)} rounds)")
    if given.json is not None:
        result = {
            "bench": name,
            "model": model,
            "files": len(manifest.rows),
            "cores": machine.cores,
            "cpu": machine.cpu,
            "ratio_median": round(ratio, 3),
            "rounds": [as_dict(one) for one in rounds],
        }
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    given = arguments("The service beside the library.").parse_args()
    compare("service", given, one_round, as_dict, "service / library")


if __name__ == "__main__":
    sys.exit(main())
