"""The best path through a clip's CTC output, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

BLANK = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """One token of the path: it holds the frames ``first .. end - 1``."""

    token: int
    first: int
    end: int
    log_probability: float
    """Of the token in the frame of its run that is surest."""


def best_path(logits: Tensor) -> list[Heard]:
    """``[T, classes]`` → the tokens of the best path: runs of one class, blanks left away.

    Only frames that hold a token are normalised: most are blank, and the classes are many.
    """
    classes = logits.argmax(dim=1)
    is_held = classes != BLANK
    rows = logits[is_held].to(torch.float32)
    best = rows.amax(dim=1) - rows.logsumexp(dim=1)
    return _runs(classes.tolist(), iter(best.tolist()))


def _runs(classes: Sequence[int], chances: Iterator[float]) -> list[Heard]:
    found: list[Heard] = []
    before = BLANK
    for frame, token in enumerate(classes):
        if token != BLANK:
            chance = next(chances)
            if token == before:
                held = found[-1]
                surest = max(held.log_probability, chance)
                found[-1] = replace(held, end=frame + 1, log_probability=surest)
            else:
                found.append(Heard(token, frame, frame + 1, chance))
        before = token
    return found


def log_probability(logits: Tensor, token: int) -> float:
    """``[classes]`` → the log probability of one of them."""
    row = logits.to(torch.float32)
    return float(row[token] - row.logsumexp(dim=0))


def geometric_mean(path: Sequence[Heard]) -> float | None:
    """Mean probability of the tokens, as the model's confidence."""
    if not path:
        return None
    return math.exp(min(0.0, sum(one.log_probability for one in path) / len(path)))
