"""The CTC branch of Fun-ASR-Nano: a quick first text, and how well any token fits any frame.

::

    encoder [T, 512] ─ linear, linear, 5 transformer blocks ─ 60,515 classes per 60 ms frame

Only the checkpoint that ModelScope publishes has it. The class layer is by far the widest of the
model, so its scores are made for a few frames at a time and only what is asked for is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

FRAME_S = 0.06
_FRAMES_AT_A_TIME = 128  # 31 MB of scores in float32


@dataclass(frozen=True, slots=True)
class Emissions:
    """Log probabilities in each frame ``[T]``, of chosen tokens ``[T, N]`` and of two others."""

    tokens: NDArray[np.float32]
    blank: NDArray[np.float32]
    best: NDArray[np.float32]
    """Of the most probable class that is not the blank, whichever that is."""


class CtcBranch(nn.Module):
    """Parameters are named as in the checkpoint: ``ctc_decoder.…`` and ``ctc.ctc_lo.…``."""

    def __init__(
        self,
        decoder: nn.Module,
        width: int,
        classes: int,
        *,
        blank: int | None = None,
        linear: Callable[[int, int, bool], nn.Module] = nn.Linear,
    ) -> None:
        """``decoder`` maps encoder output ``[B, T, …]`` and lengths to ``[B, T, width]``.

        The blank is the last class unless the checkpoint says otherwise.
        """
        super().__init__()
        self.ctc_decoder = decoder
        self.ctc = _Classes(width, classes, linear)
        self.blank = classes - 1 if blank is None else blank

    def forward(self, encoded: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Encoder output ``[B, T, …]`` to what the class layer reads ``[B, T, width]``."""
        hidden: torch.Tensor = self.ctc_decoder(encoded, lengths)
        return hidden

    def heard(self, hidden: torch.Tensor) -> list[int]:
        """The most probable token of each frame of one clip ``[T, width]``, as CTC reads them."""
        labels = [
            label
            for scores in self._scores(hidden)
            for label in scores.argmax(dim=-1).cpu().tolist()
        ]
        return [label for label, _ in groupby(labels) if label != self.blank]

    def emissions(self, hidden: torch.Tensor, tokens: Sequence[int]) -> Emissions:
        """How probable these tokens are in each frame of one clip ``[T, width]``."""
        wanted = torch.tensor(list(tokens), dtype=torch.long, device=hidden.device)
        parts: list[tuple[NDArray[np.float32], ...]] = []
        for scores in self._scores(hidden):
            total = scores.logsumexp(dim=-1)
            chosen = scores[:, wanted] - total[:, None]
            blank = scores[:, self.blank] - total
            scores[:, self.blank] = -torch.inf
            best = scores.max(dim=-1).values - total
            parts.append(tuple(one.cpu().numpy() for one in (chosen, blank, best)))
        chosen_all, blank_all, best_all = (np.concatenate(one) for one in zip(*parts, strict=True))
        return Emissions(chosen_all, blank_all, best_all)

    def _scores(self, hidden: torch.Tensor) -> Iterator[torch.Tensor]:
        """Scores of all classes in float32, some frames at a time."""
        for rows in torch.split(hidden, _FRAMES_AT_A_TIME):
            yield self.ctc(rows).float()


class _Classes(nn.Module):
    """The layer that funasr keeps inside its CTC loss, hence the name of its parameters."""

    def __init__(
        self, width: int, classes: int, linear: Callable[[int, int, bool], nn.Module]
    ) -> None:
        super().__init__()
        self.ctc_lo = linear(width, classes, True)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.ctc_lo(hidden)
        return scores
