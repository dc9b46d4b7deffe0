"""The recording of hours that a bench makes: no clip twice in a round, exact length, true sound."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from bench.long_recording import Made, takes, write_recording
from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.decode import read_all
from lingting.evaluate.manifest import Row, read_manifest
from tests.odd_files import pcm16, wav_bytes

CLIPS = 6
CLIP_S = 2


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Tones of different pitch."""
    time_s = np.arange(CLIP_S * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    lines = []
    for number in range(CLIPS):
        tone = 0.3 * np.sin(2 * np.pi * (200 + 100 * number) * time_s)
        (tmp_path / f"{number}.wav").write_bytes(wav_bytes(pcm16(tone)))
        lines.append(json.dumps({"file": f"{number}.wav", "language": "en", "text": "a"}))
    path = tmp_path / "manifest.jsonl"
    path.write_text("\n".join(lines))
    return list(read_manifest(path).rows)


def test_no_clip_comes_back_before_all_were_used(rows: list[Row]) -> None:
    found = list(islice(takes(rows, 1), 3 * CLIPS))
    rounds = [found[at : at + CLIPS] for at in range(0, len(found), CLIPS)]
    for number, one in enumerate(rounds, 1):
        assert {take.round for take in one} == {number}
        assert Counter(take.row.file for take in one) == Counter(row.file for row in rows)
    orders = [tuple(take.row.file for take in one) for one in rounds]
    assert len(set(orders)) == 3
    assert {(take.gain, take.speed) for take in rounds[0]} == {(1.0, 1.0)}
    assert len({(take.gain, take.speed) for one in rounds[1:] for take in one}) == 2 * CLIPS
    assert all(0.3 <= take.pause_s <= 3.0 for take in found)


def test_it_is_as_long_as_asked_and_sounds_like_its_clips(rows: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "made.flac"
    made = write_recording(path, rows, 30 / 3600, seed=1)
    samples, _ = read_all(path)
    assert len(samples) == 30 * SAMPLE_RATE_HZ
    assert made.seconds == 30
    assert made.rounds == 2
    first = next(takes(rows, 1))
    clip, _ = read_all(first.row.path)
    assert np.abs(samples[: len(clip)] - clip).max() < 1e-4
    pause = samples[len(clip) : len(clip) + round(first.pause_s * SAMPLE_RATE_HZ)]
    assert 0 < np.abs(pause).max() < 0.01


def test_the_same_seed_makes_the_same_recording(rows: list[Row], tmp_path: Path) -> None:
    written = []
    for at, seed in enumerate((1, 1, 2)):
        path = tmp_path / f"{at}.flac"
        write_recording(path, rows, 10 / 3600, seed)
        written.append(read_all(path)[0])
    assert np.array_equal(written[0], written[1])
    assert not np.array_equal(written[0], written[2])


def test_it_says_when_clips_come_back() -> None:
    assert "no clip twice" in str(Made(3600.0, 100, 80, 1))
    assert "3 rounds of the 100 different ones" in str(Made(3600.0, 100, 280, 3))
