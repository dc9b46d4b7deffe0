"""Several channels to one, and samples that are not numbers to silence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.float32]

# The average of two equal voices of opposite sign is silence. When it is this much quieter than
# the loudest channel that channel is taken, until the average is back within the second figure.
_LOST = 10 ** (-20 / 20)
_BACK = 10 ** (-12 / 20)
_RAMP_SAMPLES = 512


def silence_invalid(planes: Planes) -> tuple[Planes, int]:
    """NaN and infinity become 0; returns how many there were."""
    # The sum of finite float32 cannot overflow float64, so it is finite when they all are.
    with np.errstate(invalid="ignore"):  # inf - inf
        total = planes.sum(dtype=np.float64)
    if np.isfinite(total):
        return planes, 0
    is_bad = ~np.isfinite(planes)
    return np.where(is_bad, np.float32(0.0), planes), int(is_bad.sum())


class Downmix:
    """The equal-weight average ``[channels, n]`` → ``[n]``: it cannot clip.

    Anti-phase channels would cancel to nothing (a common fault of cables and of some call
    recorders), so the loudest channel stands in for an average that is 20 dB below it. The change
    is a short ramp, not a click.
    """

    def __init__(self) -> None:
        self._weights = np.zeros(0, np.float32)

    def mix(self, planes: Planes) -> Planes:
        channels = len(planes)
        if channels == 1:
            only: Planes = planes[0]
            return only
        before, self._weights = self._weights, self._choose(planes)
        mixed: Planes = self._weights @ planes
        if len(before) == channels and not np.array_equal(before, self._weights):
            ramp = np.linspace(0.0, 1.0, min(_RAMP_SAMPLES, len(mixed)), dtype=np.float32)
            head = planes[:, : len(ramp)]
            mixed[: len(ramp)] = ramp * mixed[: len(ramp)] + (1 - ramp) * (before @ head)
        return mixed

    def _choose(self, planes: Planes) -> Planes:
        channels = len(planes)
        average = np.full(channels, 1.0 / channels, np.float32)
        energies = np.einsum("cn,cn->c", planes, planes)
        mixed = average @ planes
        loudest = int(energies.argmax())
        was_lost = len(self._weights) == channels and bool(self._weights.max() == 1.0)
        threshold = _BACK if was_lost else _LOST
        if float(mixed @ mixed) >= float(energies[loudest]) * threshold**2:
            return average
        if was_lost and energies[self._weights.argmax()] > 0.25 * energies[loudest]:
            return self._weights  # two channels of about the same level: stay with the first
        only = np.zeros(channels, np.float32)
        only[loudest] = 1.0
        return only
