"""Stacked, normalised frames: those of the whole recording for any blocks."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingting.audio.features import Cmvn, apply_cmvn, fbank, stack_lfr
from lingting.errors import WeightsInvalid
from lingting.vad.frontend import FEATURES, FrameStream, read_vad_cmvn

RNG = np.random.default_rng(7)
CMVN = Cmvn(
    RNG.normal(size=FEATURES).astype(np.float32), RNG.uniform(0.1, 1, FEATURES).astype(np.float32)
)
NOISE = (RNG.normal(size=40_000) * 0.1).astype(np.float32)


def stream(samples: np.ndarray, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    frames, features, levels, at, turn = FrameStream(CMVN), [], [], 0, 0
    while at < len(samples):
        block = samples[at : at + sizes[turn % len(sizes)]]
        at, turn = at + len(block), turn + 1
        got = frames.feed(block)
        features.append(got[0])
        levels.append(got[1])
    got = frames.finish()
    return np.concatenate([*features, got[0]]), np.concatenate([*levels, got[1]])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 9_000), min_size=1, max_size=6),
    st.sampled_from([1, 399, 400, 559, 560, 720, 1_000, 8_000, 40_000]),
)
def test_blocks_of_any_size_give_the_frames_of_the_whole(sizes: list[int], length: int) -> None:
    samples = NOISE[:length]
    features, levels = stream(samples, sizes)
    expected = apply_cmvn(stack_lfr(fbank(samples), 5, 1), CMVN)
    assert features.shape == expected.shape
    assert np.array_equal(features, expected)
    assert len(levels) == len(features)


def test_a_level_is_the_energy_of_its_25_ms() -> None:
    _, levels = stream(NOISE, [1_234])
    energy = [np.sum(NOISE[t * 160 : t * 160 + 400].astype(np.float64) ** 2) for t in range(9)]
    np.testing.assert_allclose(levels[:9], 10 * np.log10(np.array(energy) + 1e-6), atol=1e-4)


def test_a_cmvn_of_another_model_is_refused(tmp_path: Path) -> None:
    row = "<LearnRateCoef> 0 [ 1 2 3 ]"
    (tmp_path / "am.mvn").write_text(f"<AddShift> 3 3\n{row}\n<Rescale> 3 3\n{row}\n")
    with pytest.raises(WeightsInvalid, match="holds 3 shifts; 400"):
        read_vad_cmvn(tmp_path / "am.mvn")
