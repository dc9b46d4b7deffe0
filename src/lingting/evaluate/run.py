"""Run a recogniser over a manifest and score what comes back.

The recogniser is a function from rows to results in the same order: the pipeline, an engine or a
peer. It may stream; its clock runs from the first request to the last result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lingting.errors import EngineFailed
from lingting.evaluate.alignment import score
from lingting.evaluate.machine import Meter, read_machine, read_packages
from lingting.evaluate.manifest import Manifest, Row
from lingting.evaluate.report import Report, ScoredClip
from lingting.transcript import ModelFacts


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a recogniser made of one row."""

    file: str
    text: str
    duration_s: float | None = None
    """Seconds of audio, where the recogniser knows; else the manifest's figure is taken."""
    failure: str | None = None
    """The code of the error that kept it from being recognised."""


Recogniser = Callable[[Sequence[Row]], Iterable[Recognised]]


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is measured: a name, the weights, and the options that shaped the result."""

    name: str
    model: ModelFacts | None = None
    options: Mapping[str, Any] | None = None


def evaluate(
    manifest: Manifest,
    recognise: Recogniser,
    subject: Subject,
    *,
    keep: Callable[[Row, Recognised], None] | None = None,
) -> Report:
    """Recognise every row and score those with a reference.

    ``keep`` sees each result as it comes (to store hypotheses, to show progress). Raises
    :class:`EngineFailed` when the recogniser answers out of order or not for every row.
    """
    meter = Meter()
    meter.start()
    results: list[Recognised] = []
    for result in recognise(manifest.rows):
        row = manifest.rows[len(results)] if len(results) < len(manifest.rows) else None
        if row is None or result.file != row.file:
            raise EngineFailed(f"Result {len(results) + 1} is not the one that was asked for.")
        if keep is not None:
            keep(row, result)
        results.append(result)
    cost = meter.stop()
    if len(results) != len(manifest.rows):
        raise EngineFailed(f"{len(manifest.rows)} clips were given, {len(results)} came back.")

    pairs = list(zip(manifest.rows, results, strict=True))
    return Report(
        system=subject.name,
        model=subject.model,
        options=subject.options or {},
        manifest_sha256=manifest.sha256,
        clips=len(pairs),
        audio_s=sum(_audio_s(row, result) for row, result in pairs),
        cost=cost,
        scored=tuple(
            ScoredClip(
                file=row.file,
                language=row.language,
                audio_s=_audio_s(row, result),
                score=score(row.text, result.text, row.language),
            )
            for row, result in pairs
            if row.text
        ),
        silent_clips=sum(row.is_silent for row, _ in pairs),
        silent_with_text=tuple(
            row.file for row, result in pairs if row.is_silent and result.text.strip()
        ),
        failures=Counter(result.failure for _, result in pairs if result.failure),
        machine=read_machine(),
        packages=read_packages(),
    )


def _audio_s(row: Row, result: Recognised) -> float:
    return result.duration_s or row.duration_s or 0.0
