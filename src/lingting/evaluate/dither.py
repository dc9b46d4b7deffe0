"""The same recordings with a noise that nobody hears: how far chance alone moves a rate.

Recognisers search: where two readings are nearly as likely, a difference in the last bit decides,
and what follows hangs on it. The rate of a language with a few clips is then one throw of dice.
Hearing the clips again with such noise shows the spread; a difference between two systems means
something where it is larger than that. The noise is at most one least bit of 16-bit audio
(-90 dB of full scale), what any conversion between formats adds; every system gets the same files.
"""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np

from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.decode import read_all
from lingting.errors import LingtingError
from lingting.evaluate.manifest import Manifest, Row

_FULL_SCALE = 2**15


def dithered(manifest: Manifest, draw: int, folder: Path) -> Manifest:
    """The manifest with its clips written to ``folder`` as 16 kHz 16-bit mono, noise added.

    ``draw`` chooses the noise: the same number, the same files. Draw 0 is the manifest as it is.
    A clip that cannot be read stays where it is, for its system to say why.
    """
    if draw == 0:
        return manifest
    rows = (_dithered(row, number, draw, folder) for number, row in enumerate(manifest.rows))
    return replace(manifest, rows=tuple(rows))


def _dithered(row: Row, number: int, draw: int, folder: Path) -> Row:
    try:
        samples, _ = read_all(row.path)
    except LingtingError:
        return row
    noise = np.random.default_rng([draw, number]).integers(-1, 2, len(samples))
    values = np.clip(np.rint(samples * _FULL_SCALE) + noise, -_FULL_SCALE, _FULL_SCALE - 1)
    path = folder / f"{number}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(values.astype("<i2").tobytes())
    return replace(row, path=path)
