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
_TOTAL = "total"


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
    draw: int = 0
    """Which noise the clips were heard with; 0 is none (see ``dither``)."""

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
        return _result(_TOTAL, "MER", self.scored)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form. It holds no transcript text, and file names only where text was found
        in a clip without speech."""
        return {
            "schema": SCHEMA,
            "system": self.system,
            "model": asdict(self.model) if self.model else None,
            "options": dict(self.options),
            "draw": self.draw,
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


@dataclass(frozen=True, slots=True)
class Spread:
    """A rate over the draws of one system."""

    mean: float
    lowest: float
    highest: float
    draws: int


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


def compare(systems: Sequence[Sequence[Report]]) -> list[tuple[str, ...]]:
    """Systems beside each other: one row per language with each system's rate, then speed.

    ``systems`` holds the draws of each, all of the same manifest. More than one give the mean of
    the rates and, in brackets, the lowest and the highest. Speed is that of the first draw.
    """
    spreads = [spread(draws) for draws in systems]
    firsts = [draws[0] for draws in systems]
    rows = [("language", *(report.system for report in firsts))]
    tags = sorted(set().union(*spreads) - {_TOTAL})
    for name in (*tags, _TOTAL):
        rows.append((name, *(_spread_cell(by_name.get(name)) for by_name in spreads)))
    rows.append(("text on non-speech", *(_silent(draws) for draws in systems)))
    rows.append(("failed clips", *(str(sum(report.failures.values())) for report in firsts)))
    rows.append(("RTFx", *(f"{report.rtfx:.2f}" for report in firsts)))
    rows.append(("CPU s", *(f"{report.cost.cpu_s:.1f}" for report in firsts)))
    rows.append(("peak RSS MiB", *(_mebibytes(report.cost.peak_rss_bytes) for report in firsts)))
    return rows


def spread(draws: Sequence[Report]) -> dict[str, Spread]:
    """By language tag, and ``total``: how far the rate moved over a system's draws."""
    rates: dict[str, list[float]] = {}
    for report in draws:
        for result in (*report.languages, report.total):
            if result.score.rate is not None:
                rates.setdefault(result.language, []).append(result.score.rate)
    return {
        name: Spread(sum(found) / len(found), min(found), max(found), len(found))
        for name, found in rates.items()
    }


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


def _silent(draws: Sequence[Report]) -> str:
    texts = sum(len(report.silent_with_text) for report in draws)
    return f"{texts} of {sum(report.silent_clips for report in draws)}"


def _spread_cell(found: Spread | None) -> str:
    if found is None:
        return ""
    mean = _percent(found.mean)
    if found.draws == 1:
        return mean
    return f"{mean} ({100 * found.lowest:.1f} - {100 * found.highest:.1f})"


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.2f} %"


def _mebibytes(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / 2**20:.0f}"
