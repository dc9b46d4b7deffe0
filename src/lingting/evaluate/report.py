"""The report of one evaluation: figures with everything needed to repeat them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lingting.evaluate.alignment import Score, aggregate, interval, total
from lingting.evaluate.machine import Cost, Machine
from lingting.evaluate.normalise import metric
from lingting.transcript import ModelFacts

SCHEMA = "lingting.evaluation/1"


@dataclass(frozen=True, slots=True)
class LanguageResult:
    """Error counts of one language tag, or of all clips (``metric`` is MER then)."""

    language: str
    metric: str
    clips: int
    audio_s: float
    score: Score
    interval: tuple[float, float] | None
    """95 % bootstrap interval of the rate."""

    def as_dict(self) -> dict[str, Any]:
        counts = asdict(self.score)
        del counts["hits"]
        return {
            "language": self.language,
            "metric": self.metric,
            "rate": self.score.rate,
            "interval_95": self.interval,
            **counts,
            "reference_units": self.score.reference_units,
            "clips": self.clips,
            "audio_s": round(self.audio_s, 3),
        }


@dataclass(frozen=True, slots=True)
class ScoredClip:
    """One clip with a reference that went through a recogniser."""

    file: str
    language: str
    audio_s: float
    score: Score


@dataclass(frozen=True, slots=True)
class Report:
    """What one system did with one manifest."""

    system: str
    model: ModelFacts | None
    options: Mapping[str, Any]
    manifest_sha256: str
    clips: int
    audio_s: float
    cost: Cost
    scored: tuple[ScoredClip, ...]
    silent_clips: int
    silent_with_text: tuple[str, ...]
    """Ids of the clips without speech in which text was found."""
    failures: Mapping[str, int]
    """Clips that failed, counted by error code; with a reference they count as all deleted."""
    machine: Machine
    packages: Mapping[str, str]
    notes: tuple[str, ...] = field(default=())

    @property
    def rtfx(self) -> float:
        """Audio seconds per wall second, everything after loading the model included."""
        return self.audio_s / self.cost.wall_s if self.cost.wall_s else 0.0

    @property
    def languages(self) -> tuple[LanguageResult, ...]:
        """One result per language tag, alphabetical."""
        sums = aggregate((clip.language, clip.score) for clip in self.scored)
        return tuple(
            _result(tag, metric(tag), [clip for clip in self.scored if clip.language == tag])
            for tag in sums
        )

    @property
    def total(self) -> LanguageResult:
        """The micro-average of all clips; characters and words are mixed, as the clips are."""
        return _result("total", "MER", self.scored)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form. It holds no transcript text, and file names only where text was found
        in a clip without speech."""
        return {
            "schema": SCHEMA,
            "system": self.system,
            "model": asdict(self.model) if self.model else None,
            "options": dict(self.options),
            "manifest": {"sha256": self.manifest_sha256, "clips": self.clips},
            "languages": [result.as_dict() for result in self.languages],
            "total": self.total.as_dict(),
            "speed": {
                "audio_s": round(self.audio_s, 3),
                "rtfx": round(self.rtfx, 3),
                "wall_s": round(self.cost.wall_s, 3),
                "cpu_s": round(self.cost.cpu_s, 3),
                "peak_rss_bytes": self.cost.peak_rss_bytes,
            },
            "no_speech": {"clips": self.silent_clips, "with_text": list(self.silent_with_text)},
            "failures": dict(sorted(self.failures.items())),
            "machine": asdict(self.machine),
            "packages": dict(self.packages),
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=2) + "\n"


def _result(name: str, kind: str, clips: Sequence[ScoredClip]) -> LanguageResult:
    scores = [clip.score for clip in clips]
    return LanguageResult(
        language=name,
        metric=kind,
        clips=len(clips),
        audio_s=sum(clip.audio_s for clip in clips),
        score=total(scores),
        interval=interval(scores),
    )


HEADER = ("language", "metric", "rate", "95 % interval", "S", "D", "I", "units", "clips", "audio s")


def table(report: Report) -> list[tuple[str, ...]]:
    """Rows of text for a terminal: :data:`HEADER`, one per language, the total."""
    results = (*report.languages, report.total)
    return [HEADER, *(_cells(result) for result in results)]


def compare(reports: Sequence[Report]) -> list[tuple[str, ...]]:
    """Systems beside each other: one row per language with each system's rate, then speed.

    ``reports`` are of the same manifest.
    """
    tags = sorted({result.language for report in reports for result in report.languages})
    rates = [{result.language: result for result in report.languages} for report in reports]
    rows = [("language", *(report.system for report in reports))]
    for tag in tags:
        cells = (by_tag[tag].score.rate if tag in by_tag else None for by_tag in rates)
        rows.append((tag, *(_percent(rate) for rate in cells)))
    rows.append(("total", *(_percent(report.total.score.rate) for report in reports)))
    rows.append(("text on non-speech", *(_silent(report) for report in reports)))
    rows.append(("failed clips", *(str(sum(report.failures.values())) for report in reports)))
    rows.append(("RTFx", *(f"{report.rtfx:.2f}" for report in reports)))
    rows.append(("CPU s", *(f"{report.cost.cpu_s:.1f}" for report in reports)))
    rows.append(("peak RSS MiB", *(_mebibytes(report.cost.peak_rss_bytes) for report in reports)))
    return rows


def _cells(result: LanguageResult) -> tuple[str, ...]:
    counts = result.score
    low_high = result.interval
    return (
        result.language,
        result.metric,
        _percent(counts.rate),
        f"{_percent(low_high[0])} - {_percent(low_high[1])}" if low_high else "",
        str(counts.substitutions),
        str(counts.deletions),
        str(counts.insertions),
        str(counts.reference_units),
        str(result.clips),
        f"{result.audio_s:.1f}",
    )


def _silent(report: Report) -> str:
    return f"{len(report.silent_with_text)} of {report.silent_clips}"


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.2f} %"


def _mebibytes(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / 2**20:.0f}"
