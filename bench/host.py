"""The engine host: what it adds to an engine, and what many callers gain by it.

    python bench/host.py [--speech DIR] [--clients 16] [--seconds 8] [--json FILE]

Three questions, each with a host in a process of its own, listening on a Unix socket, and clients
as threads of this process; host and clients share the machine's cores.

- **wire**: an engine that answers at once (scripted); how many single clips pass in a second, and
  what a clip costs the host and the client in CPU time?
- **batching**: a real model in int8; single short clips one at a time, then from many clients. The
  texts are compared: the same clips must give the same texts.
- **lanes**: a queue full of bulk clips, and then live ones, one after another. How many batches
  began between a live clip's arrival and its own batch? Counted by the host, not by a clock.

Every phase but the first takes clips of real speech from the folder given.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from lingting.audio.decode import read_all
from lingting.engines.base import SAMPLE_RATE_HZ, Clip, Engine, Hypothesis, RecognizeOptions
from lingting.engines.remote import load
from lingting.engines.remote.host import HostEngine
from lingting.engines.scripted import ScriptedEngine
from lingting.host import Host, HostOptions
from lingting.host.listening import listen, parse_place
from lingting.host.serving import serve

SPEECH = Path(__file__).resolve().parents[2] / "shared" / "speech"
SCRIPTED = "scripted"
READY = "ready"


@dataclass(frozen=True)
class Load:
    """What a number of clients did."""

    clients: int
    clips: int
    audio_s: float
    wall_s: float
    client_cpu_s: float
    host_cpu_s: float
    latencies_s: tuple[float, ...]

    @property
    def clips_per_s(self) -> float:
        return self.clips / self.wall_s

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def as_dict(self) -> dict[str, Any]:
        return {
            "clients": self.clients,
            "clips": self.clips,
            "audio_s": round(self.audio_s, 1),
            "wall_s": round(self.wall_s, 3),
            "clips_per_s": round(self.clips_per_s, 2),
            "rtfx": round(self.audio_s / self.wall_s, 2),
            "client_cpu_ms_per_clip": round(1000 * self.client_cpu_s / self.clips, 3),
            "host_cpu_ms_per_clip": round(1000 * self.host_cpu_s / self.clips, 3),
            "latency_p50_ms": round(self.percentile_ms(0.5), 2),
            "latency_p95_ms": round(self.percentile_ms(0.95), 2),
        }

    def print(self, name: str) -> None:
        shown = self.as_dict()
        print(
            f"  {name:<28} {shown['clips_per_s']:>9.1f} clips/s {shown['rtfx']:>8.1f} x real time  "
            f"CPU ms/clip: host {shown['host_cpu_ms_per_clip']:.2f}, "
            f"client {shown['client_cpu_ms_per_clip']:.2f}  "
            f"p50 {shown['latency_p50_ms']:.1f} ms, p95 {shown['latency_p95_ms']:.1f} ms"
        )


# The host's process ---------------------------------------------------------------------------


def loaded(name: str, device: str | None) -> Engine:
    if name == SCRIPTED:
        return ScriptedEngine(lambda clip: Hypothesis(str(len(clip.samples)), "zh", confidence=0.9))
    from lingting.engines.registry import load_engine

    return load_engine(name, device=device or "cpu", compute="int8")


def run_host(name: str, socket: str) -> None:
    host = Host(loaded, [name], HostOptions(idle_s=None))
    listener = listen(parse_place(socket), has_key=False)
    serve(host, [listener], on_ready=lambda _: print(READY, flush=True))


class Running:
    """A host in another process."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address

    @property
    def cpu_s(self) -> float:
        """User and system time so far, from /proc."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def hosted(name: str) -> Iterator[Running]:
    with tempfile.TemporaryDirectory() as folder:
        socket = f"unix:{folder}/engine.sock"
        command = [sys.executable, __file__, "--host", name, "--socket", socket]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            if process.stdout.readline().strip() != READY:
                raise SystemExit("the host did not start")
            yield Running(process, socket)
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()


# Load ----------------------------------------------------------------------------------------


def driven(
    running: Running,
    engine: HostEngine,
    clients: int,
    next_clip: Callable[[], Clip | None],
    on_text: Callable[[Clip, Hypothesis], None] = lambda *_: None,
) -> Load:
    """Clients that each send a clip, wait for its answer, and send the next."""
    lock = threading.Lock()
    latencies: list[float] = []
    audio_s = 0.0

    def client() -> None:
        nonlocal audio_s
        while (clip := next_clip()) is not None:
            began_s = time.perf_counter()
            (heard,) = engine.ask([clip])
            took_s = time.perf_counter() - began_s
            if heard.error is not None:
                raise heard.error
            on_text(clip, heard)
            with lock:
                latencies.append(took_s)
                audio_s += clip.duration_s

    host_cpu_s, cpu_s, began_s = running.cpu_s, time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        done = [pool.submit(client) for _ in range(clients)]
    for one in done:
        one.result()  # raises what went wrong: figures of half the work would be none
    return Load(
        clients,
        len(latencies),
        audio_s,
        time.perf_counter() - began_s,
        time.process_time() - cpu_s,
        running.cpu_s - host_cpu_s,
        tuple(latencies),
    )


def for_seconds(clips: Sequence[Clip], seconds: float) -> Callable[[], Clip | None]:
    """The clips in turn until the time is over."""
    until_s = time.perf_counter() + seconds
    numbers = iter(range(1 << 60))
    return lambda: clips[next(numbers) % len(clips)] if time.perf_counter() < until_s else None


def each_once(clips: Sequence[Clip]) -> Callable[[], Clip | None]:
    rest = iter(list(clips))
    lock = threading.Lock()

    def following() -> Clip | None:
        with lock:
            return next(rest, None)

    return following


def short_clips(folder: Path, count: int, most_s: float = 6.0) -> list[Clip]:
    """Whole recordings of one to ``most_s`` seconds, no two from one file."""
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    clips: list[Clip] = []
    for row in rows:
        if len(clips) < count and 1.0 <= float(row["duration_s"]) <= most_s:
            samples, _ = read_all(folder / row["file"])
            language = str(row["language"]).split("-")[0]
            clips.append(Clip(samples.astype(np.float32), RecognizeOptions(language=language)))
    return clips


# The three questions ---------------------------------------------------------------------------


def wire(given: argparse.Namespace) -> dict[str, Any]:
    print(f"wire: scripted engine, single clips of 1 s, {given.seconds:g} s each")
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE_HZ).astype(np.float32)
    results = {}
    with hosted(SCRIPTED) as running:
        engine = load(running.address)
        assert isinstance(engine, HostEngine)
        driven(running, engine, 4, for_seconds([Clip(noise)], 0.5))
        for clients in (1, given.clients):
            found = driven(running, engine, clients, for_seconds([Clip(noise)], given.seconds))
            found.print(f"{clients} client{'s' * (clients > 1)}")
            results[f"clients_{clients}"] = found.as_dict()
        group = [Clip(noise)] * 8
        began_s, cpu_s, host_cpu_s = time.perf_counter(), time.process_time(), running.cpu_s
        for _ in range(100):
            engine.ask(group)
        results["eight_clips_in_one_request"] = {
            "clips_per_s": round(800 / (time.perf_counter() - began_s), 1),
            "client_cpu_ms_per_clip": round((time.process_time() - cpu_s) / 0.8, 3),
            "host_cpu_ms_per_clip": round((running.cpu_s - host_cpu_s) / 0.8, 3),
        }
        print(f"  eight clips in one request   {results['eight_clips_in_one_request']}")
        engine.close()
    return results


def summed(loads: Sequence[Load]) -> Load:
    """Several runs as one."""
    return Load(
        loads[0].clients,
        sum(one.clips for one in loads),
        sum(one.audio_s for one in loads),
        sum(one.wall_s for one in loads),
        sum(one.client_cpu_s for one in loads),
        sum(one.host_cpu_s for one in loads),
        tuple(latency for one in loads for latency in one.latencies_s),
    )


def batching(given: argparse.Namespace, running: Running, clips: list[Clip]) -> dict[str, Any]:
    """Both ways in turns, block by block, so that a machine that slows down slows down both."""
    total_s = sum(clip.duration_s for clip in clips)
    print(f"batching: {given.model} int8, {len(clips)} single clips, {total_s:.0f} s of audio")
    engine = load(running.address)
    assert isinstance(engine, HostEngine)
    engine.ask(clips[:4])  # kernels are compiled once
    texts: dict[int, list[str]] = {}
    lock = threading.Lock()
    numbers = {id(clip): at for at, clip in enumerate(clips)}

    def keep(clip: Clip, heard: Hypothesis) -> None:
        with lock:
            texts.setdefault(numbers[id(clip)], []).append(heard.text)

    runs: dict[int, list[Load]] = {1: [], given.clients: []}
    for number, at in enumerate(range(0, len(clips), given.block)):
        block = clips[at : at + given.block]
        for clients in sorted(runs, reverse=number % 2 == 1):
            runs[clients].append(driven(running, engine, clients, each_once(block), keep))
    engine.close()
    loads = {clients: summed(found) for clients, found in runs.items()}
    for clients, load_ in loads.items():
        load_.print(f"{clients} client{'s' * (clients > 1)}")
    ratio = loads[given.clients].clips_per_s / loads[1].clips_per_s
    ratios = [
        many.clips_per_s / one.clips_per_s
        for one, many in zip(runs[1], runs[given.clients], strict=True)
    ]
    print("  block by block: " + " ".join(f"{one:.2f}" for one in ratios))
    differing = sum(len(set(heard)) > 1 for heard in texts.values())
    print(f"  {given.clients} clients / one at a time: {ratio:.2f}; texts that differ: {differing}")
    return {
        "model": given.model,
        "clips": len(clips),
        "one_at_a_time": loads[1].as_dict(),
        "many": loads[given.clients].as_dict(),
        "ratio": round(ratio, 3),
        "ratios": [round(one, 3) for one in ratios],
        "texts_that_differ": differing,
    }


def lanes(running: Running, clips: list[Clip]) -> dict[str, Any]:
    bulk = list(clips)
    bulk_s = sum(clip.duration_s for clip in bulk)
    print(f"lanes: {len(bulk)} bulk clips queued ({bulk_s:.0f} s of audio), then live ones")
    bulk_engine, live_engine = load(running.address), load(running.address, lane="live")
    assert isinstance(bulk_engine, HostEngine)
    assert isinstance(live_engine, HostEngine)
    bulk_done: list[float] = []
    began_s = time.perf_counter()

    def queue_bulk() -> None:
        errors = [one.error for one in bulk_engine.recognize(bulk) if one.error is not None]
        if errors:
            raise errors[0]
        bulk_done.append(time.perf_counter() - began_s)

    pool = ThreadPoolExecutor(1)
    queued = pool.submit(queue_bulk)
    time.sleep(1.0)
    waits: list[int] = []
    latencies: list[float] = []
    for clip in clips[:8]:
        if bulk_done:
            break
        asked_s = time.perf_counter()
        answer = live_engine.answer([clip])
        latencies.append(time.perf_counter() - asked_s)
        waits += answer.batches
        time.sleep(0.2)
    queued.result()
    pool.shutdown()
    bulk_engine.close()
    live_engine.close()
    worst = max(waits)
    print(
        f"  {len(waits)} live clips, each in batch number {sorted(set(waits))} after it came "
        f"(1 is the very next); median {1000 * median(latencies):.0f} ms, "
        f"worst {1000 * max(latencies):.0f} ms; bulk {bulk_s / bulk_done[0]:.1f} x real time"
    )
    return {
        "bulk_clips": len(bulk),
        "bulk_audio_s": round(bulk_s, 1),
        "bulk_wall_s": round(bulk_done[0], 2),
        "live_clips": len(waits),
        "batches_until_started_most": worst,
        "live_latency_median_ms": round(1000 * median(latencies), 1),
        "live_latency_most_ms": round(1000 * max(latencies), 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="What the engine host adds and brings.")
    parser.add_argument("--speech", type=Path, default=SPEECH, help="folder with manifest.jsonl")
    parser.add_argument("--model", default="whisper-base")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--clips", type=int, default=96, help="clips of real speech")
    parser.add_argument("--block", type=int, default=32, help="clips before the other way's turn")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load on the wire")
    parser.add_argument("--only", choices=("wire", "batching", "lanes"))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--host", help=argparse.SUPPRESS)
    parser.add_argument("--socket", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.host:
        run_host(given.host, given.socket)
        return 0
    results: dict[str, Any] = {"bench": "host", "cores": len(os.sched_getaffinity(0))}
    if given.only in (None, "wire"):
        results["wire"] = wire(given)
    if given.only != "wire":
        clips = short_clips(given.speech, given.clips)
        with hosted(given.model) as running:
            if given.only in (None, "batching"):
                results["batching"] = batching(given, running, clips)
            if given.only in (None, "lanes"):
                results["lanes"] = lanes(running, clips)
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
