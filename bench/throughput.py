"""Throughput over a manifest beside faster-whisper: same weights, clips, languages and threads.

    python bench/throughput.py [--rounds 3] [--sequential] [--json FILE]

Every system is measured in a fresh process, one after another, and rounds go through all of them
again (A B A B …), so that a machine that slows down slows down both. Loading the model and one
warm-up clip come before the clock and are printed apart; decoding the file, finding speech, the
recogniser and the text are inside it. Errors are printed beside the speed, because leaving words
out is fast. The ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lingting.cli.loading import EngineRequest, automatic_model
from lingting.cli.measuring import OURS, Measurement, Ready, System, measure
from lingting.evaluate.manifest import read_manifest
from lingting.evaluate.report import Report
from systems import pin

SPEECH = Path(__file__).resolve().parents[2] / "shared" / "speech" / "manifest.jsonl"
HEADER = ("round", "system", "RTFx", "wall s", "CPU s", "peak MiB", "error %", "deleted %",
          "inserted %", "failed", "load s", "warm-up s")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """One system in one round."""

    round: int
    system: System
    ready: Ready
    report: Report

    def as_dict(self) -> dict[str, Any]:
        return {
            "round": self.round,
            "load_s": round(self.ready.load_s, 3),
            "warm_up_s": round(self.ready.warm_up_s, 3),
            **self.report.as_dict(),
        }

    def cells(self) -> tuple[str, ...]:
        cost, score = self.report.cost, self.report.total.score
        units = max(1, score.reference_units)
        return (
            str(self.round),
            self.report.system,
            f"{self.report.rtfx:.2f}",
            f"{cost.wall_s:.1f}",
            f"{cost.cpu_s:.1f}",
            "?" if cost.peak_rss_bytes is None else f"{cost.peak_rss_bytes / 2**20:.0f}",
            "" if score.rate is None else f"{100 * score.rate:.2f}",
            f"{100 * score.deletions / units:.2f}",
            f"{100 * score.insertions / units:.2f}",
            str(sum(self.report.failures.values())),
            f"{self.ready.load_s:.1f}",
            f"{self.ready.warm_up_s:.1f}",
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Throughput beside faster-whisper.")
    parser.add_argument("--manifest", type=Path, default=SPEECH)
    parser.add_argument("--limit", type=int, help="only the first rows")
    parser.add_argument("--model", default="auto", help="a Whisper of the catalogue, or a folder")
    parser.add_argument("--threads", type=int, help="for every system; all cores by default")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sequential", action="store_true", help="measure that mode as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    return parser.parse_args()


def measured(round_number: int, wanted: Measurement) -> Run:
    """One system in a process of its own; how far it is goes to stderr."""
    ready: list[Ready] = []
    heard = 0

    def on_clip(_: object) -> None:
        nonlocal heard
        heard += 1
        if heard % 50 == 0:
            print(f"round {round_number}, {wanted.system}: {heard} clips", file=sys.stderr)

    report = measure(wanted, on_clip, ready.append)
    return Run(round_number, wanted.system, ready[0], report)


def ratios(runs: Sequence[Run], peer: System) -> list[float]:
    """Our RTFx through the peer's, round by round."""
    speed = {(run.round, run.system): run.report.rtfx for run in runs}
    rounds = sorted({run.round for run in runs})
    return [speed[one, OURS] / speed[one, peer] for one in rounds]


def print_table(runs: Sequence[Run]) -> None:
    lines = [HEADER, *(run.cells() for run in runs)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = zip(line, widths, strict=True)
        print("  ".join(f"{cell:>{width}}" for cell, width in cells))


def main() -> None:
    given = arguments()
    manifest = read_manifest(given.manifest, limit=given.limit)
    threads = pin(given.threads)
    model = automatic_model() if given.model == "auto" else given.model
    engine = EngineRequest(model, device="cpu", threads=threads)
    systems: list[System] = [OURS, "batched"]
    if given.sequential:
        systems.append("sequential")
    runs = [
        measured(number, Measurement(one, given.manifest, given.limit, engine, has_warm_up=True))
        for number in range(1, given.rounds + 1)
        for one in systems
    ]
    machine, packages = runs[0].report.machine, runs[0].report.packages
    print(f"{len(manifest.rows)} clips, {runs[0].report.audio_s:.0f} s of audio, {model}")
    print(f"{threads} threads on {machine.cores} cores, {machine.cpu}, Python {machine.python}")
    print(", ".join(f"{name} {version}" for name, version in packages.items()))
    print_table(runs)
    compared = {peer: ratios(runs, peer) for peer in systems[1:]}
    for peer, each in compared.items():
        rounds = " ".join(f"{one:.2f}" for one in each)
        print(f"lingting / {peer}: {median(each):.2f} (median of {len(each)} rounds: {rounds})")
    if given.json is not None:
        result = {
            "bench": "throughput",
            "threads": threads,
            "ratio_median": {peer: round(median(each), 3) for peer, each in compared.items()},
            "ratios": {peer: [round(one, 3) for one in each] for peer, each in compared.items()},
            "runs": [run.as_dict() for run in runs],
        }
        given.json.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()
