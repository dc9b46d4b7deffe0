"""Which arrays are audio, and what numbers become."""

from __future__ import annotations

import numpy as np
import pytest

from lingting.audio.decode import Limits, open_audio, read_all
from lingting.errors import AudioEmpty, AudioError, AudioInvalid, AudioTooLong


def tone(rate_hz: int = 16_000, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(
        "f4"
    )


@pytest.mark.parametrize(
    "array",
    [
        tone(),
        tone().astype("f8"),
        tone().astype(">f4"),
        (tone() * 32768).astype("i2"),
        (tone() * 2.0**31).astype("i4"),
        tone()[None],
        tone()[:, None],
        np.stack([tone(), tone()]),
        np.stack([tone(), tone()], axis=1),
        np.stack([tone(), tone()])[:, ::-1][:, ::-1],
        np.stack([(tone() * 32768).astype("i2")] * 6, axis=1),
    ],
)
def test_every_shape_and_type_gives_the_same_audio(array: np.ndarray) -> None:
    samples, facts = read_all(array)
    assert samples.dtype == np.float32
    assert np.abs(samples - tone()).max() < 1e-4
    assert facts.container == "array"
    assert facts.duration_s == 1.0
    assert not facts.damage


def test_uint8_is_centred() -> None:
    samples, _ = read_all(np.array([128, 255, 0, 192], np.uint8))
    assert samples.tolist() == [0.0, 127 / 128, -1.0, 0.5]


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros(0, np.float32), AudioEmpty),
        (np.zeros((2, 0), np.float32), AudioEmpty),
        (np.zeros((2, 3, 4), np.float32), AudioInvalid),
        (np.array(1.0, np.float32), AudioInvalid),
        (np.zeros((40, 40_000), np.float32), AudioInvalid),
        (np.zeros((7, 7), np.float32), AudioInvalid),
        (np.array(["a", "b"], object), AudioInvalid),
        (np.zeros(10, complex), AudioInvalid),
        (np.zeros(10, bool), AudioInvalid),
        (np.zeros(10, np.int64), AudioInvalid),
        (tone() * 32768, AudioInvalid),
        ([0.0, 0.1], AudioInvalid),
        (None, AudioInvalid),
        (17, AudioInvalid),
    ],
)
def test_what_is_no_audio(array: object, error: type[AudioError]) -> None:
    with pytest.raises(error):
        read_all(array)


@pytest.mark.parametrize("rate_hz", [0, -16_000, 999, 1_000_000])
def test_impossible_rates(rate_hz: int) -> None:
    with pytest.raises(AudioInvalid, match="sample_rate_hz"):
        open_audio(tone(), sample_rate_hz=rate_hz)


def test_nan_and_infinity_become_counted_silence() -> None:
    array = tone()
    array[[10, 20, 30]] = [np.nan, np.inf, -np.inf]
    samples, facts = read_all(array)
    assert samples[[10, 20, 30]].tolist() == [0.0, 0.0, 0.0]
    assert facts.damage.invalid_samples == 3
    assert np.isnan(array[10]), "the caller's array is not touched"


def test_too_long_array() -> None:
    with pytest.raises(AudioTooLong):
        open_audio(tone(), limits=Limits(max_duration_s=0.5))


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_in_place(rate_hz: int) -> None:
    samples, _ = read_all(tone(rate_hz), sample_rate_hz=rate_hz)
    assert abs(len(samples) - 16_000) <= 1
    assert np.abs(samples[800:-800] - tone()[800 : len(samples) - 800]).max() < 1e-3
