"""Workers as processes of their own, so that tests can kill and freeze them, and their engine.

The engine is scripted: what it hears is made of the clip's own samples, so that one lost, doubled
or exchanged clip makes another transcript. Files in a folder tell it to be slow or away.

Tests start some fifty workers, and each would import for seconds: ``python -m
tests.integration.worker_parts`` imports once and forks whatever worker it is asked for.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lingting import models
from lingting.engines.base import Clip, Engine, EngineFacts, Hypothesis
from lingting.engines.registry import load_engine
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import EngineUnreachable
from lingting.jobs import Desk, Job
from lingting.jobs.worker import Chore, Worker, WorkerOptions
from lingting.pipeline import PipelineOptions, Transcriber
from lingting.store import open_store
from lingting.transcript import ModelFacts, Transcript, Word
from lingting.vad.fsmn import FsmnVad

ROOT = Path(__file__).parents[2]
WITHIN_S = 90.0
QUICK = {
    "beat_s": 0.2, "dead_after_s": 1.5, "poll_s": 0.05, "grace_s": 3.0, "slots": 4, "readers": 1,
    "drain_s": 10.0,
}  # fmt: skip


def hear(clip: Clip) -> Hypothesis:
    """Some words of this clip, in one of two languages, now and then in doubt."""
    digest = hashlib.sha256(clip.samples.tobytes() + repr(clip.options).encode()).hexdigest()
    number = int(digest[:8], 16)
    language = clip.options.language or ("en" if number % 3 else "fr")
    words = (Word(digest[:6], 0.1, 0.2, 0.5), Word(digest[6:12], 0.2, clip.duration_s, None))
    return Hypothesis(
        f"{digest[:6]} {digest[6:12]}",
        language,
        language_confidence=None if clip.options.language else 0.5 + number % 50 / 100,
        words=words if clip.options.words else (),
        words_source="attention" if clip.options.words else None,
        confidence=0.9,
        notes=("guard.retried",) if number % 4 == 0 else (),
    )


class ToldEngine:
    """Obeys the files of a folder: ``slow`` holds seconds a call, ``away``, ``other``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine = ScriptedEngine(hear)

    @property
    def facts(self) -> EngineFacts:
        if (self._folder / "other").exists():
            return replace(self._engine.facts, model=ModelFacts("another"))
        return self._engine.facts

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        with (self._folder / "calls").open("a") as calls:
            calls.write(f"{len(clips)}\n")
        until_s = time.monotonic() + float(self._told("slow") or 0)
        while time.monotonic() < until_s and (self._folder / "slow").exists():
            time.sleep(0.02)
        if (self._folder / "away").exists():
            raise EngineUnreachable("The engine is away.")
        if (self._folder / "faint").exists():  # as an engine far away tells it: clip by clip
            gone = EngineUnreachable("The engine is away.")
            found = self._engine.recognize(clips)
            return [replace(found[0], error=gone), *found[1:]]
        return self._engine.recognize(clips)

    def close(self) -> None:
        self._engine.close()

    def _told(self, name: str) -> str:
        with suppress(FileNotFoundError):
            return (self._folder / name).read_text()
        return ""


def tell(folder: Path, name: str, value: str | None = "") -> None:
    """Make or remove a file that the engine obeys."""
    if value is None:
        (folder / name).unlink(missing_ok=True)
    else:
        (folder / name).write_text(value)


def calls(folder: Path) -> int:
    """How often the engine was asked."""
    with suppress(FileNotFoundError):
        return len((folder / "calls").read_text().splitlines())
    return 0


@cache
def undisturbed(path: Path, options: PipelineOptions | None = None) -> Transcript:
    """The library's own transcript of a file, by the same engine."""
    transcriber = Transcriber(ScriptedEngine(hear), FsmnVad(models.path("fsmn-vad")))
    return transcriber.transcribe(path, options=options or PipelineOptions())


class Forked:
    """A worker of the nursery: as much of ``Popen`` as tests need of it."""

    def __init__(self, nursery: subprocess.Popen[str], asked: dict[str, Any]) -> None:
        self._nursery = nursery
        self._code: int | None = None
        self.pid = int(self._ask(asked))

    def send_signal(self, number: int) -> None:
        if self._code is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout_s: float = 20.0) -> int:
        """The exit code, or the negative number of the signal that ended it."""
        until_s = time.monotonic() + timeout_s
        while self._code is None:
            found = self._ask({"reap": self.pid})
            self._code = None if found == "alive" else int(found)
            assert time.monotonic() < until_s, "the worker does not end"
            time.sleep(0.01)
        return self._code

    def _ask(self, asked: dict[str, Any]) -> str:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(json.dumps(asked) + "\n")
        self._nursery.stdin.flush()
        return self._nursery.stdout.readline().strip()


@cache
def _nursery() -> subprocess.Popen[str]:
    """The one of these tests, which ends with them."""
    nursery = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.worker_parts"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": _python_path(None)},
    )  # fmt: skip
    atexit.register(nursery.communicate)
    return nursery


def _python_path(first: Path | None) -> str:
    return os.pathsep.join(filter(None, [str(first or ""), *sys.path]))


@contextmanager
def worker(
    data: Path,
    folder: Path,
    *,
    url: str | None = None,
    python_path: Path | None = None,
    **options: Any,
) -> Iterator[Forked]:
    """A worker as a process of its own; killed at the end if it still runs.

    ``python_path`` stands first in that of the processes that it starts.
    """
    ours = {name: one for name, one in os.environ.items() if name.startswith("LINGTING_")}
    process = Forked(
        _nursery(),
        {
            "data": str(data), "folder": str(folder), "url": url, "options": {**QUICK, **options},
            "environment": {**ours, "PYTHONPATH": _python_path(python_path)},
        },
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def stop(process: Forked) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(WITHIN_S)


def until(happens: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    until_s = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.02)


def finished(desk: Desk, *jobs: Job, within_s: float = WITHIN_S) -> list[Job]:
    until(lambda: all(desk.job(one.id).is_finished for one in jobs), within_s)
    return [desk.job(one.id) for one in jobs]


def long_recording(path: Path, parts: Sequence[Path]) -> Path:
    """Real recordings one after another, with pauses between."""
    import wave

    from lingting.audio.decode import read_all

    pause = np.zeros(8_000, np.float32)
    samples = np.concatenate([one for part in parts for one in (read_all(part)[0], pause)])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())
    return path


def children(pid: int) -> list[int]:
    """Processes that this one has started."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((one / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(one.name))
    return found


class OneAtATime:
    """A real model in the worker's own process, which threads use in turns."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()

    @property
    def facts(self) -> EngineFacts:
        return self._engine.facts

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        with self._turn:
            return self._engine.recognize(clips)

    def close(self) -> None:
        self._engine.close()


def main() -> None:
    """Fork the workers that are asked for on standard input, and say how they ended."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "reap" in asked:
            pid, status = os.waitpid(asked["reap"], os.WNOHANG)
            answer = str(os.waitstatus_to_exitcode(status)) if pid else "alive"
        elif (child := os.fork()) == 0:
            return work(asked)  # and the interpreter ends as that of any worker
        else:
            answer = str(child)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    return None


def work(asked: dict[str, Any]) -> None:
    """This process is a worker until it is told to stop."""
    data, folder, options = Path(asked["data"]), Path(asked["folder"]), asked["options"]
    with (folder / "log").open("ab") as log, Path(os.devnull).open("rb") as nothing:
        for number, file in ((0, nothing), (1, log), (2, log)):
            os.dup2(file.fileno(), number)
    os.environ.update(asked["environment"])
    model = options.pop("real", None)
    chores = [Chore("hang", 1.0, lambda _: time.sleep(1000))] if options.pop("hang", False) else []

    def load(_: str) -> Engine:
        return ToldEngine(folder) if model is None else OneAtATime(load_engine(model))

    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    logging.basicConfig(level="INFO", format="%(asctime)s %(process)d %(message)s")
    with open_store(data, url=asked["url"]) as store:
        made = Worker(
            store, load, models.path("fsmn-vad"), data / "run", WorkerOptions(**options),
            chores=chores,
        )  # fmt: skip
        made.run(over)


if __name__ == "__main__":
    main()
