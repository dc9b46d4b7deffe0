"""Filter bank, stacking and normalisation against independent references."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lingting.audio import features
from lingting.errors import WeightsInvalid


def speechlike(samples: int, seed: int = 0) -> np.ndarray:
    """Noise with a slow envelope and a falling spectrum, over a quiet floor."""
    generator = np.random.default_rng(seed)
    noise = np.convolve(generator.standard_normal(samples + 8), np.ones(8) / 8, "full")[:samples]
    envelope = 0.5 + 0.5 * np.sin(np.arange(samples) / 3000)
    return (0.2 * noise * envelope + 1e-3 * generator.standard_normal(samples)).astype(np.float32)


def reference_fbank(samples: np.ndarray) -> np.ndarray:
    """The definition, frame by frame in float64."""
    rows = []
    mel = lambda hz: 1127 * np.log(1 + hz / 700)  # noqa: E731
    edges = np.linspace(mel(20.0), mel(8000.0), 82)
    bins = mel(np.arange(256) * 31.25)
    for start in range(0, len(samples) - 399, 160):
        frame = samples[start : start + 400].astype(np.float64) * 32768
        frame -= frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        frame *= 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399)
        power = np.abs(np.fft.fft(frame, 512)[:256]) ** 2
        row = []
        for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
            up, down = (bins - low) / (centre - low), (high - bins) / (high - centre)
            row.append(power @ np.clip(np.minimum(up, down), 0, None))
        rows.append(np.log(np.maximum(row, np.finfo(np.float32).eps)))
    return np.array(rows)


def test_fbank_is_the_definition() -> None:
    samples = speechlike(16_000)
    actual = features.fbank(samples)
    assert actual.shape == (98, 80)
    assert actual.dtype == np.float32
    assert np.abs(actual - reference_fbank(samples)).max() < 1e-3


def test_fbank_equals_kaldi_native_fbank() -> None:
    import kaldi_native_fbank as knf

    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = "hamming"
    options.mel_opts.num_bins = 80
    options.energy_floor = 0.0
    peer = knf.OnlineFbank(options)
    samples = speechlike(5 * 16_000 + 77)
    peer.accept_waveform(16_000, samples * 32768)
    expected = np.stack([peer.get_frame(i) for i in range(peer.num_frames_ready)])
    actual = features.fbank(samples)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() < 1e-3


@pytest.mark.filterwarnings("ignore")
def test_fbank_and_lfr_equal_funasr() -> None:
    import torch
    from funasr.frontends import wav_frontend as frontend

    samples = speechlike(3 * 16_000)
    peer = frontend.WavFrontend(fs=16_000, window="hamming", n_mels=80, lfr_m=7, lfr_n=6, dither=0)
    expected, _ = peer(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    actual = features.stack_lfr(features.fbank(samples), 7, 6)
    assert actual.shape == tuple(expected.shape[1:])
    assert np.abs(actual - expected[0].numpy()).max() < 1e-3


def test_silence_is_the_floor_and_loud_is_finite() -> None:
    floor = np.log(np.finfo(np.float32).eps)
    assert np.allclose(features.fbank(np.zeros(16_000, np.float32)), floor)
    loud = np.where(np.arange(16_000) % 40 < 20, 1.0, -1.0).astype(np.float32)
    assert np.isfinite(features.fbank(loud)).all()


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2)])
def test_only_whole_windows_make_frames(samples: int, frames: int) -> None:
    assert features.fbank(speechlike(samples)).shape == (frames, 80)
    assert features.fbank_frames(samples) == frames


def cuts(total: int, seed: int) -> Iterator[slice]:
    generator = np.random.default_rng(seed)
    first = 0
    while first < total:
        last = first + int(generator.choice([1, 37, 160, 399, 400, 1600, 9600, 60_000]))
        yield slice(first, last)
        first = last


@pytest.mark.parametrize("seed", range(6))
def test_stream_gives_the_same_bits_however_it_is_cut(seed: int) -> None:
    samples = speechlike(12 * 16_000 + 123)
    stream = features.FbankStream()
    pieces = [stream.feed(samples[cut]) for cut in cuts(len(samples), seed)]
    whole = features.fbank(samples)
    assert np.array_equal(np.concatenate(pieces), whole)
    assert stream.frames_done == len(whole)


def lfr_by_hand(frames: list[int], m: int, n: int) -> list[list[int]]:
    """FunASR's apply_lfr, told with lists: repeat the first, cut, repeat the last."""
    padded = frames[:1] * ((m - 1) // 2) + frames
    rows = []
    for index in range(-(-len(frames) // n)):
        row = padded[index * n : index * n + m]
        rows.append(row + padded[-1:] * (m - len(row)))
    return rows


@pytest.mark.parametrize(("m", "n"), [(7, 6), (5, 1), (1, 1), (4, 3)])
@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 12, 13, 100])
def test_lfr_repeats_first_and_last(m: int, n: int, count: int) -> None:
    numbers = np.arange(count, dtype=np.float32)[:, None]
    expected = lfr_by_hand(list(range(count)), m, n)
    assert features.stack_lfr(numbers, m, n).tolist() == expected


def test_lfr_of_nothing_is_nothing() -> None:
    assert features.stack_lfr(np.zeros((0, 80), np.float32), 7, 6).shape == (0, 560)


AM_MVN = """<Nnet>
<Splice> 3 3
[ 0 ]
<AddShift> 3 3
<LearnRateCoef> 0 [ -1.5 2 -3 ]
<Rescale> 3 3
<LearnRateCoef> 0 [ 0.5 0.25 2 ]
</Nnet>
"""


def test_cmvn_shifts_then_scales(tmp_path: Path) -> None:
    path = tmp_path / "am.mvn"
    path.write_text(AM_MVN)
    rows = np.array([[1.5, 2.0, 4.0]], np.float32)
    assert features.apply_cmvn(rows, features.read_cmvn(path)).tolist() == [[0.0, 1.0, 2.0]]
    assert rows.tolist() == [[1.5, 2.0, 4.0]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<Nnet>",
        AM_MVN.replace("-3 ]", "]"),
        AM_MVN.replace("0.25", "x"),
        AM_MVN.replace("]", ""),
    ],
)
def test_broken_cmvn_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "am.mvn"
    path.write_text(text)
    with pytest.raises(WeightsInvalid, match=r"am\.mvn"):
        features.read_cmvn(path)


def test_missing_cmvn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid):
        features.read_cmvn(tmp_path / "am.mvn")
