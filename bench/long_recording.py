"""A recording of hours: memory above the loaded model, the first segment, and speed.

    python bench/long_recording.py [--hours 3] [--json FILE]

The recording is made of the clips of a manifest with speech in them, in a random order from a seed
and with random pauses of noise as soft as a quiet room. No clip comes back before all the others
were used; where the clips are too short for the hours, they come again in another order, each time
at another loudness and a slightly different speed. How often that was needed is printed: it is no
real meeting, and a figure of it speaks of memory and speed, not of errors.

It is written to a FLAC file piece by piece. A fresh process then loads the model, hears one clip
to warm up, and takes the segments of the recording as they come.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.decode import read_blocks
from lingting.audio.ffmpeg import Resampler
from lingting.evaluate.machine import Meter, read_machine, read_packages
from lingting.evaluate.manifest import Row, read_manifest

SPEECH = Path(__file__).resolve().parents[2] / "shared" / "speech" / "manifest.jsonl"
PAUSE_S = (0.3, 3.0)
# What changes when a clip has to come back: 3 dB either way, 5 % either way.
GAIN_DB = 3.0
SPEED = 0.05
NOISE = 10 ** (-66 / 20)
SAMPLE_EVERY_S = 0.5
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Take:
    """One use of a clip: the first pass plays it as it is, later ones change it a little."""

    row: Row
    round: int
    pause_s: float
    gain: float
    speed: float


def takes(rows: Sequence[Row], seed: int) -> Iterator[Take]:
    """Without end: all rows in a random order, then all in another one."""
    chance = np.random.default_rng(seed)
    number = 0
    while True:
        number += 1
        for at in chance.permutation(len(rows)):
            gain_db, speed = chance.uniform(-GAIN_DB, GAIN_DB), chance.uniform(-SPEED, SPEED)
            yield Take(
                row=rows[at],
                round=number,
                pause_s=float(chance.uniform(*PAUSE_S)),
                gain=1.0 if number == 1 else float(10 ** (gain_db / 20)),
                speed=1.0 if number == 1 else float(1 + speed),
            )


def played(take: Take) -> Iterator[Samples]:
    """The clip as it sounds in the recording, 16 kHz, piece by piece."""
    resampler = Resampler(round(SAMPLE_RATE_HZ * take.speed))
    for block in read_blocks(take.row.path):
        yield resampler.feed(block) * np.float32(take.gain)
    yield resampler.finish() * np.float32(take.gain)


@dataclass(frozen=True, slots=True)
class Made:
    """What the recording consists of."""

    seconds: float
    speech_clips: int
    uses: int
    rounds: int

    def __str__(self) -> str:
        made = f"{self.seconds / 3600:.2f} h of {self.uses} clips"
        if self.rounds == 1:
            return f"{made}, no clip twice"
        return (
            f"{made}: {self.rounds} rounds of the {self.speech_clips} different ones, "
            "each in another order, from the second on at another loudness and speed"
        )


def write_recording(path: Path, rows: Sequence[Row], hours: float, seed: int) -> Made:
    """Write mono FLAC of 16 kHz and 16 bits that is ``hours`` long, the last clip cut off."""
    noise = np.random.default_rng(seed + 1)
    wanted = round(hours * 3600 * SAMPLE_RATE_HZ)
    uses, rounds, written = 0, 0, 0
    with Flac(path) as file:
        for take in takes(rows, seed):
            if written >= wanted:
                break
            uses, rounds = uses + 1, take.round
            pause = noise.normal(0, NOISE, round(take.pause_s * SAMPLE_RATE_HZ))
            for piece in (*played(take), pause.astype(np.float32)):
                kept = piece[: wanted - written]
                file.write(kept)
                written += len(kept)
    return Made(written / SAMPLE_RATE_HZ, len(rows), uses, rounds)


class Flac:
    """A FLAC file that grows piece by piece."""

    def __init__(self, path: Path) -> None:
        import av

        self._av = av
        self._file = av.open(str(path), "w", format="flac")
        self._stream = self._file.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono")
        self._samples = 0

    def __enter__(self) -> Flac:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.mux(self._stream.encode(None))
        self._file.close()

    def write(self, samples: Samples) -> None:
        """``[n]`` float32; what is louder than full scale is clipped."""
        if not len(samples):
            return
        pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = self._av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = self._samples
        self._samples += len(samples)
        self._file.mux(self._stream.encode(frame))


class Memory:
    """Memory of this process over time, in a thread; Linux only."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, int]] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        began_s = time.perf_counter()
        while not self._is_over.wait(SAMPLE_EVERY_S):
            self.samples.append((time.perf_counter() - began_s, rss_bytes()))

    def tenths(self) -> list[int]:
        """The largest of each tenth of the run: a leak shows as a staircase."""
        sizes = [size for _, size in self.samples]
        return [int(part.max()) for part in np.array_split(sizes, 10) if len(part)]


def rss_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmRSS; this bench needs Linux")


def hear(given: argparse.Namespace) -> dict[str, Any]:
    """In the fresh process: load, warm up, take the segments. Returns the figures."""
    from lingting.api import load
    from lingting.pipeline import PipelineOptions

    options = PipelineOptions(language=given.language)
    began_s = time.perf_counter()
    transcriber = load(given.model, device="cpu", threads=given.threads, options=options)
    loaded_s, loaded = time.perf_counter() - began_s, rss_bytes()
    transcriber.transcribe(given.warm_up)
    warm = rss_bytes()
    heard: dict[str, Any] = {"segments": 0, "with_text": 0, "failed": 0, "characters": 0}
    first_s: float | None = None
    last_end_s, backward = 0.0, 0
    meter = Meter()
    meter.start()
    began_s = time.perf_counter()
    with Memory() as memory:
        for segment in transcriber.segments(given.hear):
            first_s = first_s or time.perf_counter() - began_s
            heard["segments"] += 1
            heard["with_text"] += bool(segment.text)
            heard["failed"] += segment.failure is not None
            heard["characters"] += len(segment.text)
            backward += segment.end_s < last_end_s
            last_end_s = max(last_end_s, segment.end_s)
    cost = meter.stop()
    sampled = max((size for _, size in memory.samples), default=0)
    return {
        "model": transcriber.engine.facts.model.id,
        "load_s": round(loaded_s, 2),
        "first_segment_s": None if first_s is None else round(first_s, 2),
        "wall_s": round(cost.wall_s, 2),
        "cpu_s": round(cost.cpu_s, 2),
        **heard,
        "segments_out_of_order": backward,
        "last_end_s": round(last_end_s, 2),
        "loaded_rss_bytes": loaded,
        "warm_rss_bytes": warm,
        "peak_rss_bytes": cost.peak_rss_bytes or sampled,
        "sampled_peak_rss_bytes": sampled,
        "rss_bytes_by_tenth": memory.tenths(),
    }


def heard_apart(recording: Path, warm_up: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Run :func:`hear` in a fresh process. Raises CalledProcessError when that fails."""
    command = [sys.executable, __file__, "--hear", str(recording), "--warm-up", str(warm_up)]
    command += ["--model", given.model]
    if given.threads is not None:
        command += ["--threads", str(given.threads)]
    if given.language is not None:
        command += ["--language", given.language]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A recording of hours.")
    parser.add_argument("--manifest", type=Path, default=SPEECH)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--language", help="for the whole recording; heard clip by clip by default")
    parser.add_argument("--threads", type=int, help="all cores by default")
    parser.add_argument("--folder", type=Path, help="where to write the recording for a while")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--hear", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--warm-up", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def print_figures(made: Made, found: dict[str, Any]) -> None:
    mib = 2**20
    loaded, warm, peak = (found[f"{at}_rss_bytes"] for at in ("loaded", "warm", "peak"))
    machine = read_machine()
    print(f"{machine.cores} cores, {machine.cpu}, Python {machine.python}, {found['model']}")
    print(made)
    print(f"RSS with the model loaded {loaded / mib:.0f} MiB, after one clip {warm / mib:.0f} MiB")
    print(
        f"peak RSS {peak / mib:.0f} MiB: {(peak - loaded) / mib:.0f} MiB above the loaded model, "
        f"{(peak - warm) / mib:.0f} MiB above the warm one"
    )
    tenths = " ".join(f"{size / mib:.0f}" for size in found["rss_bytes_by_tenth"])
    print(f"largest RSS in each tenth of the run, MiB: {tenths}")
    print(f"first segment after {found['first_segment_s']} s")
    print(
        f"{made.seconds:.0f} s of audio in {found['wall_s']:.1f} s: "
        f"RTFx {made.seconds / found['wall_s']:.2f}, CPU {found['cpu_s']:.0f} s"
    )
    print(
        f"{found['segments']} segments, {found['with_text']} with text, {found['failed']} failed, "
        f"{found['segments_out_of_order']} out of order; the last ends at {found['last_end_s']} s"
    )


def main() -> None:
    given = arguments()
    if given.hear is not None:
        print(json.dumps(hear(given)))
        return
    rows = [row for row in read_manifest(given.manifest).rows if not row.is_silent]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        recording = Path(folder) / "recording.flac"
        made = write_recording(recording, rows, given.hours, given.seed)
        print(f"recording written, {recording.stat().st_size >> 20} MiB", file=sys.stderr)
        found = heard_apart(recording, rows[0].path, given)
    print_figures(made, found)
    if given.json is not None:
        result = {
            "bench": "long_recording",
            "seed": given.seed,
            "recording": {
                "seconds": made.seconds,
                "different_clips": made.speech_clips,
                "clips": made.uses,
                "rounds": made.rounds,
            },
            "rtfx": round(made.seconds / found["wall_s"], 3),
            "peak_above_loaded_bytes": found["peak_rss_bytes"] - found["loaded_rss_bytes"],
            "peak_above_warm_bytes": found["peak_rss_bytes"] - found["warm_rss_bytes"],
            **found,
            "machine": {"cpu": read_machine().cpu, "cores": read_machine().cores},
            "packages": read_packages(),
        }
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
