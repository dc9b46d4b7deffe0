"""What the VAD's tests share: the installed model and the recordings, decoded once."""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lingting import models
from lingting.audio.decode import read_all
from lingting.errors import ModelNotInstalled
from lingting.vad.fsmn import FsmnVad

SPEECH = Path(__file__).parents[3] / "shared" / "speech"


def vad_folder() -> Path:
    """The installed FSMN-VAD, or the test is skipped aloud."""
    try:
        return models.path("fsmn-vad")
    except ModelNotInstalled:
        pytest.skip("the model fsmn-vad is not installed: make models")


@cache
def vad() -> FsmnVad:
    return FsmnVad(vad_folder())


def clip_names() -> list[str]:
    """All recordings of the speech folder, or the test is skipped aloud."""
    manifest = SPEECH / "manifest.jsonl"
    if not manifest.is_file():
        pytest.skip("no recordings in ../shared/speech")
    rows = manifest.read_text(encoding="utf-8").splitlines()
    return sorted(json.loads(row)["file"] for row in rows if row)


@cache
def recording(name: str) -> NDArray[np.float32]:
    """One recording at 16 kHz, mono, or the test is skipped aloud."""
    clip_names()
    return read_all(SPEECH / name)[0]


def digest(samples: NDArray[np.float32]) -> str:
    """Of the samples rounded to 24 bits, so that the last bit of a float does not matter."""
    rounded = np.round(samples.astype(np.float64) * (1 << 23)).astype("<i4")
    return hashlib.sha256(rounded.tobytes()).hexdigest()


def joined(every: int, pause_s: float = 0.0) -> NDArray[np.float32]:
    """Each ``every``-th recording, one after the other."""
    pause = np.zeros(int(pause_s * 16_000), np.float32)
    parts = [part for name in clip_names()[::every] for part in (recording(name), pause)]
    return np.concatenate(parts)
