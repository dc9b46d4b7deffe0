"""Voice activity detection beside funasr's, on one core: audio seconds per wall second.

    python bench/vad.py --audio ../shared/speech [--rounds 3] [--no-peer]

Every recording is decoded before the clock starts; both sides get the same samples, one recording
at a time, with features, network and decisions inside the clock. The process is pinned to one core
before numpy is imported. Rounds alternate between the two; the best round counts, all are printed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import numpy as np

from lingting import models
from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.decode import read_all
from lingting.evaluate.machine import read_machine, read_packages
from lingting.vad.fsmn import FsmnVad

SUFFIXES = {".flac", ".mp3", ".wav", ".ogg", ".m4a"}
Spans = list[list[int]]


def read_recordings(folder: Path) -> list[Any]:
    paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    return [read_all(path)[0] for path in paths]


def ours(folder: Path) -> Callable[[Any], Spans]:
    detector = FsmnVad(folder, threads=1)
    return lambda samples: [
        [round(span.start_s * 1000), round(span.end_s * 1000)] for span in detector.spans(samples)
    ]


def peer(folder: Path) -> Callable[[Any], Spans]:
    logging.disable(logging.CRITICAL)
    import torch
    from funasr import AutoModel

    torch.set_num_threads(1)
    model = AutoModel(model=str(folder), disable_update=True, disable_pbar=True, device="cpu")
    return lambda samples: model.generate(samples, max_end_silence_time=800)[0]["value"]


def timed(
    detect: Callable[[Any], Spans], recordings: list[Any]
) -> tuple[float, float, list[Spans]]:
    """Wall seconds, CPU seconds and the spans of every recording."""
    wall, cpu = time.perf_counter(), time.process_time()
    spans = [detect(samples) for samples in recordings]
    return time.perf_counter() - wall, time.process_time() - cpu, spans


@dataclass
class Side:
    """One of the two, and what its rounds took."""

    detect: Callable[[Any], Spans]
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    spans: list[Spans] = field(default_factory=list)

    def measure(self, recordings: list[Any]) -> None:
        wall, cpu, self.spans = timed(self.detect, recordings)
        self.wall_s.append(wall)
        self.cpu_s.append(cpu)

    def as_dict(self, audio_s: float) -> dict[str, Any]:
        return {
            "wall_s": [round(wall, 3) for wall in self.wall_s],
            "cpu_s": [round(cpu, 3) for cpu in self.cpu_s],
            "rtfx": round(audio_s / min(self.wall_s), 1),
            "spans": sum(map(len, self.spans)),
        }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Voice activity detection beside funasr's.")
    parser.add_argument("--audio", type=Path, required=True, help="a folder of recordings")
    parser.add_argument("--model", type=Path, help="FSMN-VAD folder; the installed one by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true", help="leave funasr out")
    return parser.parse_args()


def print_table(sides: dict[str, Side], audio_s: float) -> None:
    print(f"{'':10}{'spans':>7}{'best s':>9}{'RTFx':>7}{'of CPU':>8}  all rounds, s")
    for name, side in sides.items():
        row = side.as_dict(audio_s)
        rounds = " ".join(f"{wall:.2f}" for wall in side.wall_s)
        print(
            f"{name:10}{row['spans']:7}{min(side.wall_s):9.2f}{row['rtfx']:7.0f}"
            f"{audio_s / min(side.cpu_s):8.0f}  {rounds}"
        )


def main() -> None:
    given = arguments()
    folder = given.model or models.path("fsmn-vad")
    recordings = read_recordings(given.audio)
    if not recordings:
        sys.exit("The folder holds no recordings.")
    audio_s = sum(map(len, recordings)) / SAMPLE_RATE_HZ
    sides = {"lingting": Side(ours(folder))}
    if not given.no_peer:
        sides["funasr"] = Side(peer(folder))
    for side in sides.values():
        side.detect(np.zeros(10 * SAMPLE_RATE_HZ, np.float32))  # first calls allocate
    for _ in range(given.rounds):
        for side in sides.values():
            side.measure(recordings)
    cpu = read_machine().cpu
    print(f"{len(recordings)} recordings, {audio_s:.0f} s of audio, one core, {cpu}")
    print_table(sides, audio_s)
    result = {
        "bench": "vad",
        "recordings": len(recordings),
        "audio_s": round(audio_s, 2),
        "cores": 1,
        "cpu": cpu,
        "sides": {name: side.as_dict(audio_s) for name, side in sides.items()},
        "packages": read_packages(),
    }
    if "funasr" in sides:
        pairs = zip(sides["lingting"].spans, sides["funasr"].spans, strict=True)
        result["recordings_with_equal_spans"] = sum(a == b for a, b in pairs)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
