"""Error counts of one clip and their sums.

Rates are micro-averages: errors of all clips over reference units of all clips, so a clip weighs
what its length weighs. The rate can pass 1 when a recogniser writes more than was said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lingting.evaluate.normalise import units

_RESAMPLES = 1000
_SEED = 20251215


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of units; ``hits + substitutions + deletions == reference_units``."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    hits: int = 0

    @property
    def reference_units(self) -> int:
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors per reference unit; None when the reference has none."""
        return self.errors / self.reference_units if self.reference_units else None

    def __add__(self, other: Score) -> Score:
        return Score(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.hits + other.hits,
        )


def score(reference: str, hypothesis: str, language: str) -> Score:
    """Align two texts of ``language`` (a BCP 47 tag) with the fewest edits (Levenshtein)."""
    from rapidfuzz.distance import Levenshtein

    wanted, heard = units(reference, language), units(hypothesis, language)
    tags = Counter(edit.tag for edit in Levenshtein.editops(wanted, heard))
    changed, lost = tags["replace"], tags["delete"]
    return Score(changed, lost, tags["insert"], hits=len(wanted) - changed - lost)


def total(scores: Iterable[Score]) -> Score:
    """The micro-average's counts."""
    return sum(scores, Score())


def aggregate(scores: Iterable[tuple[str, Score]]) -> dict[str, Score]:
    """Sums per language tag, tags in alphabetical order."""
    sums: dict[str, Score] = {}
    for language, one in scores:
        sums[language] = sums.get(language, Score()) + one
    return dict(sorted(sums.items()))


def interval(scores: Sequence[Score]) -> tuple[float, float] | None:
    """95 % interval of the rate: percentile bootstrap over clips (Bisani & Ney 2004), fixed seed.

    None for fewer than two clips, or when no clip has reference units.
    """
    if len(scores) < 2 or not any(one.reference_units for one in scores):
        return None
    errors = np.array([one.errors for one in scores])
    lengths = np.array([one.reference_units for one in scores])
    drawn = np.random.default_rng(_SEED).integers(len(scores), size=(_RESAMPLES, len(scores)))
    rates = errors[drawn].sum(axis=1) / np.maximum(lengths[drawn].sum(axis=1), 1)
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)
