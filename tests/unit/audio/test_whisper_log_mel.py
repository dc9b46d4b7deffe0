"""whisper_log_mel equals the peer's extractor, and holds for any length."""

from __future__ import annotations

import numpy as np
import pytest

from lingting.audio.features import whisper_log_mel


def noise(samples: int) -> np.ndarray:
    return (np.random.default_rng(samples).standard_normal(samples) * 0.1).astype(np.float32)


@pytest.mark.parametrize("samples", [160, 399, 1000, 16_000, 208_077, 480_000])
@pytest.mark.parametrize("pad_samples", [0, 160, 480_000])
def test_equals_faster_whisper(samples: int, pad_samples: int) -> None:
    from faster_whisper import feature_extractor as peer

    expected = peer.FeatureExtractor()(noise(samples), padding=pad_samples)
    actual = whisper_log_mel(noise(samples), pad_samples=pad_samples)
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("samples", "pad_samples", "frames"),
    [(0, 0, 0), (1, 0, 0), (159, 0, 0), (1, 160, 1), (0, 480, 3)],
)
def test_short_input_has_as_many_frames_as_hops(
    samples: int, pad_samples: int, frames: int
) -> None:
    assert whisper_log_mel(noise(samples), pad_samples=pad_samples).shape == (80, frames)


def test_tone_is_loudest_in_its_own_band() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    # 1 kHz is mel 15 of 45.2 on Slaney's scale; 80 triangles have their centres 0.559 apart.
    assert abs(int(whisper_log_mel(tone)[:, 50].argmax()) - 26) <= 1


def test_padding_is_written_silence() -> None:
    padded = np.concatenate([noise(5000), np.zeros(3000, np.float32)])
    assert np.array_equal(whisper_log_mel(noise(5000), pad_samples=3000), whisper_log_mel(padded))
