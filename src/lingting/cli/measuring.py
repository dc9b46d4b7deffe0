"""One system over one manifest, in a process of its own.

Peak memory belongs to one system only, and no system finds caches that another has warmed. The
process answers through a pipe: that it is ready, a clip's result as it comes, then the report or
the error. What happens before it is ready, loading and warming up, is timed apart.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lingting.cli.loading import EngineRequest
from lingting.errors import EngineFailed, LingtingError

if TYPE_CHECKING:
    from lingting.evaluate.manifest import Manifest, Row
    from lingting.evaluate.peers import Mode
    from lingting.evaluate.report import Report
    from lingting.evaluate.run import Recognised, Recogniser, Subject

System = Literal["lingting", "batched", "sequential"]
_LEAVE_S = 10.0
OURS: System = "lingting"
PEERS: tuple[System, ...] = ("batched", "sequential")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What to measure. Crosses the process boundary."""

    system: System
    manifest: Path
    limit: int | None
    engine: EngineRequest
    has_warm_up: bool = False
    """Hear the first row once before the clock starts: first calls allocate and build caches."""
    draw: int = 0
    """Which noise of :func:`~lingting.evaluate.dither.dithered` is added; 0 is none."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is in memory, the clock starts: what that took, imports included."""

    load_s: float
    warm_up_s: float


@dataclass(frozen=True, slots=True)
class Heard:
    """The text of one clip; kept only when hypotheses were asked for."""

    file: str
    language: str
    text: str
    failure: str | None


OnReady = Callable[[Ready], None]


def measure(
    wanted: Measurement, on_clip: Callable[[Heard], None], on_ready: OnReady | None = None
) -> Report:
    """Run it and wait. Raises what the other process raised, EngineFailed when it died."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure_here, args=(wanted, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        report = _answer(ours, wanted, on_clip, on_ready)
        process.join(_LEAVE_S)  # a library may have semaphores and files to put away
        return report
    finally:
        ours.close()
        process.kill()
        process.join()


def _answer(
    pipe: Connection,
    wanted: Measurement,
    on_clip: Callable[[Heard], None],
    on_ready: OnReady | None,
) -> Report:
    from lingting.evaluate.report import Report

    while True:
        try:
            message = pipe.recv()
        except EOFError:
            raise EngineFailed(
                f"The process that measured {wanted.system} ended without a report.",
                "Look whether the machine ran out of memory.",
            ) from None
        if isinstance(message, Heard):
            on_clip(message)
        elif isinstance(message, Ready):
            if on_ready is not None:
                on_ready(message)
        elif isinstance(message, Report):
            return message
        elif isinstance(message, LingtingError):
            raise message


def _measure_here(wanted: Measurement, pipe: Connection) -> None:
    """The other process. Ctrl-C reaches both; the parent decides and ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pipe.send(_report(wanted, pipe))
    except LingtingError as error:
        error.__cause__ = error.__context__ = None  # foreign causes may not cross
        pipe.send(error)
    except BrokenPipeError:
        os._exit(1)


def _report(wanted: Measurement, pipe: Connection) -> Report:
    from lingting.evaluate.dither import dithered
    from lingting.evaluate.manifest import read_manifest

    given = read_manifest(wanted.manifest, limit=wanted.limit)
    with tempfile.TemporaryDirectory(prefix="lingting-eval-") as folder:
        return _measured(wanted, dithered(given, wanted.draw, Path(folder)), pipe)


def _measured(wanted: Measurement, manifest: Manifest, pipe: Connection) -> Report:
    from lingting.evaluate.run import evaluate

    def keep(row: Row, result: Recognised) -> None:
        pipe.send(Heard(row.file, row.language, result.text, result.failure))

    began_s = time.perf_counter()
    if wanted.system == "lingting":
        recognise, subject = _ours(wanted)
    else:
        recognise, subject = _peer(wanted, wanted.system)
    loaded_s = time.perf_counter()
    if wanted.has_warm_up:
        for _ in recognise(manifest.rows[:1]):
            pass
    pipe.send(Ready(loaded_s - began_s, time.perf_counter() - loaded_s))
    return replace(evaluate(manifest, recognise, subject, keep=keep), draw=wanted.draw)


def _ours(wanted: Measurement) -> tuple[Recogniser, Subject]:
    from lingting.cli.loading import load_recogniser, load_vad
    from lingting.evaluate.run import Subject
    from lingting.pipeline import PipelineOptions, Transcriber

    options = PipelineOptions()
    engine = load_recogniser(wanted.engine)
    recogniser = _OurRecogniser(Transcriber(engine, load_vad(), options), options)
    return recogniser, Subject("lingting", engine.facts.model, _facts(wanted))


def _facts(wanted: Measurement) -> dict[str, Any]:
    engine = wanted.engine
    return {"device": engine.device, "compute": engine.compute, "threads": engine.threads}


class _OurRecogniser:
    """The pipeline as evaluation wants it: each row in its own language."""

    def __init__(self, transcriber: Any, options: Any) -> None:
        self._transcriber = transcriber
        self._options = options

    def __call__(self, rows: Sequence[Row]) -> Iterator[Recognised]:
        from lingting.evaluate.run import Recognised
        from lingting.pipeline import Source

        sources = (
            Source(
                row.path,
                key=row.file,
                options=replace(self._options, language=row.engine_language),
            )
            for row in rows
        )
        for outcome in self._transcriber.transcribe_many(sources):
            if outcome.error is not None:
                yield Recognised(outcome.key, "", failure=outcome.error.code)
                continue
            transcript = outcome.transcript
            failure = transcript.failures[0].code if transcript.failures else None
            yield Recognised(outcome.key, transcript.text, transcript.duration_s, failure)


def _peer(wanted: Measurement, mode: Mode) -> tuple[Recogniser, Subject]:
    from lingting import models
    from lingting.evaluate.peers import FasterWhisper
    from lingting.transcript import ModelFacts

    resolved = models.resolve(wanted.engine.model)
    facts = ModelFacts(id=resolved.id, sha256=resolved.sha256)
    peer = FasterWhisper(resolved.path, mode, threads=wanted.engine.threads or 0)
    return peer, peer.subject(facts)
