"""The picture of a recording's loudness."""

from __future__ import annotations

import numpy as np
import pytest

from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.peaks import BUCKETS, peaks


def drawn(samples: np.ndarray) -> np.ndarray:
    return np.frombuffer(peaks(samples), np.int8).reshape(-1, 2)


def test_extremes_are_where_they_were() -> None:
    samples = np.zeros(60 * SAMPLE_RATE_HZ, np.float32)
    samples[30 * SAMPLE_RATE_HZ] = 0.5
    samples[45 * SAMPLE_RATE_HZ] = -1.0
    found = drawn(samples)
    assert found.shape == (BUCKETS, 2)
    assert found[BUCKETS // 2].tolist() == [0, 64]
    assert found[BUCKETS * 3 // 4].tolist() == [-127, 0]
    assert np.count_nonzero(found) == 2


@pytest.mark.parametrize(("count", "buckets"), [(1, 1), (160, 1), (161, 2), (32_000, 200)])
def test_short_recordings_have_fewer_buckets(count: int, buckets: int) -> None:
    found = drawn(np.full(count, 0.25, np.float32))
    assert found.shape == (buckets, 2)
    assert (found == 32).all()
