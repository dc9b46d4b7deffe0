"""Channels to one without clipping and without silent loss."""

from __future__ import annotations

import numpy as np
import pytest

from lingting.audio.mixing import Downmix, silence_invalid


def noise(seed: int, samples: int = 16_000) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


def test_average_never_clips() -> None:
    planes = np.ones((6, 100), np.float32)
    assert np.abs(Downmix().mix(planes)).max() == pytest.approx(1.0)


def test_equal_weights() -> None:
    planes = np.stack([noise(1), noise(2), noise(3)])
    assert np.allclose(Downmix().mix(planes), planes.mean(axis=0), atol=1e-6)


def test_opposite_phase_takes_the_loudest_channel() -> None:
    planes = np.stack([noise(1), -0.95 * noise(1)])
    assert np.array_equal(Downmix().mix(planes), planes[0])


def test_one_silent_channel_stays_an_average() -> None:
    planes = np.stack([noise(1), np.zeros_like(noise(1))])
    assert np.allclose(Downmix().mix(planes), planes[0] / 2)


def test_change_of_weights_is_a_ramp() -> None:
    low = np.sin(2 * np.pi * 100 * np.arange(32_000) / 16_000).astype(np.float32)
    downmix = Downmix()
    both = downmix.mix(np.stack([low, low])[:, :16_000])
    opposite = downmix.mix(np.stack([low, -low])[:, 16_000:])
    joined = np.concatenate([both, opposite])
    assert np.abs(np.diff(joined)).max() < 2.5 * np.abs(np.diff(low)).max()
    assert np.abs(opposite[-1000:]).max() > 0.9
    assert np.allclose(downmix.mix(np.stack([low, low]))[-1000:], low[-1000:], atol=1e-6)


def test_silence_is_silence() -> None:
    assert not Downmix().mix(np.zeros((2, 100), np.float32)).any()


def test_invalid_samples_are_counted_and_the_rest_is_kept() -> None:
    planes = np.stack([noise(1), noise(2)])
    planes[0, 5] = np.nan
    planes[1, 7] = np.inf
    cleaned, count = silence_invalid(planes)
    assert count == 2
    assert cleaned[0, 5] == cleaned[1, 7] == 0.0
    assert (cleaned != planes).sum() == 2


def test_large_finite_samples_are_not_invalid() -> None:
    planes = np.full((2, 1000), np.finfo(np.float32).max)
    assert silence_invalid(planes)[1] == 0
