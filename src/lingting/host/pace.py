"""How much audio the next batch may hold, from how fast the last ones were.

A clip that comes while a batch is under way waits for its end, so a batch must not last long; but
a device is busy all the time only with enough clips at once. Batches aim at a duration that
depends on who waits: with only bulk work 8 s, or 2 s where somebody asked for something sooner not
long ago; with somebody listening half a second.
"""

from __future__ import annotations

from collections.abc import Mapping

AIM_S: Mapping[str, float] = {"live": 0.5, "interactive": 1.0, "bulk": 2.0}
"""How long a batch should last, by the highest lane that waits."""
ALONE_S = 8.0
"""How long one of bulk work should last when nobody else has asked for a while: the threads of an
engine end a short batch at different times, which cost 30 % of two cores with 2 s."""
LEAST_S: Mapping[str, float] = {"live": 0.0, "interactive": 15.0, "bulk": 30.0}
"""Seconds of audio a batch may have on however slow a device: one full clip of bulk work."""

_FADING = 0.8  # of the past, with every batch
_SMALLEST_S = 5.0
_REGROWTH = 1.1


class Pace:
    """Seconds of audio per second, and the budgets that follow from it."""

    def __init__(self, batch_s: float) -> None:
        """``batch_s`` is what the engine wants at once and never more."""
        self._most_s = self._limit_s = batch_s
        self._audio_s = 0.0
        self._wall_s = 0.0

    @property
    def rate(self) -> float | None:
        """Seconds of audio recognised in a second; None before the first batch."""
        return self._audio_s / self._wall_s if self._wall_s > 0 else None

    @property
    def limit_s(self) -> float:
        """The most audio in a batch: the engine's wish, or what memory was enough for."""
        return self._limit_s

    def note(self, audio_s: float, wall_s: float) -> None:
        """A batch is done. After a lack of memory larger ones are tried again step by step."""
        self._audio_s = self._audio_s * _FADING + audio_s
        self._wall_s = self._wall_s * _FADING + wall_s
        if audio_s > self._limit_s * 0.5:
            self._limit_s = min(self._most_s, self._limit_s * _REGROWTH)

    def shrink(self, audio_s: float) -> None:
        """So much audio did not fit into memory."""
        self._limit_s = max(_SMALLEST_S, min(self._limit_s, audio_s) / 2)

    def budgets(self, *, is_bulk_alone: bool = False) -> dict[str, float]:
        """Seconds of audio for a batch, by the highest lane that waits."""
        rate = self.rate or 0.0
        aims = {**AIM_S, "bulk": ALONE_S} if is_bulk_alone else AIM_S
        return {lane: min(self._limit_s, max(aims[lane] * rate, LEAST_S[lane])) for lane in aims}

    def wait_s(self, waiting_s: float) -> float:
        """About how long so much waiting audio takes; 1 s to a minute."""
        return min(60.0, max(1.0, waiting_s / (self.rate or 10.0)))
