"""Features in rows of 60 ms, for clips of every length."""

import numpy as np
import pytest

from lingting.audio.features import Cmvn, apply_cmvn
from lingting.engines.neural.frontend import FEATURE_SIZE, lfr_features, lfr_frames, pad


def _noise(samples: int) -> np.ndarray:
    return np.random.default_rng(samples).standard_normal(samples).astype(np.float32) * 0.1


@pytest.mark.parametrize(
    ("samples", "rows"),
    [(0, 1), (320, 1), (400, 1), (1_359, 1), (1_360, 2), (16_000, 17), (160_000, 167)],
)
def test_a_row_every_60_ms(samples: int, rows: int) -> None:
    features = lfr_features(_noise(samples))
    assert features.shape == (rows, FEATURE_SIZE)
    assert lfr_frames(samples) == rows
    assert np.isfinite(features).all()


def test_equal_audio_gives_equal_bits() -> None:
    assert np.array_equal(lfr_features(_noise(50_000)), lfr_features(_noise(50_000)))


def test_a_clip_under_one_window_is_filled_with_silence() -> None:
    short = _noise(320)
    filled = np.concatenate([short, np.zeros(80, np.float32)])
    assert np.array_equal(lfr_features(short), lfr_features(filled))


def test_normalised_where_the_model_says_how() -> None:
    cmvn = Cmvn(np.full(FEATURE_SIZE, -8, np.float32), np.full(FEATURE_SIZE, 0.5, np.float32))
    plain = lfr_features(_noise(9_000))
    assert np.array_equal(lfr_features(_noise(9_000), cmvn), apply_cmvn(plain, cmvn))


def test_padding_is_zero_and_lengths_are_kept() -> None:
    clips = [lfr_features(_noise(n)) for n in (16_000, 320, 9_000)]
    batch, lengths = pad(clips)
    assert batch.shape == (3, 17, FEATURE_SIZE)
    assert lengths.tolist() == [17, 1, 9]
    for row, clip in enumerate(clips):
        assert np.array_equal(batch[row, : len(clip)].numpy(), clip)
        assert not batch[row, len(clip) :].any()
