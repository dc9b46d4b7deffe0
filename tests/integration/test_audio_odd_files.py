"""Every odd file ends as its maker says: with the right error, or with the right audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lingting.audio.decode import open_audio, read_all
from lingting.transcript import Damage
from tests.odd_files import MAKERS, VOICE_S, NoEncoder, Odd, voice

GOOD = Damage()


def made(name: str, folder: Path) -> Odd:
    try:
        return MAKERS[name](folder)
    except NoEncoder as exc:
        pytest.skip(f"this build of PyAV has no encoder {exc}")


def correlation(samples: np.ndarray, lag_s: float) -> float:
    """With the voice that every odd file says, beginning within 1 ms of ``lag_s``."""
    return max(_correlation(samples, round(lag_s * 16_000) + shift) for shift in range(-16, 17))


def _correlation(samples: np.ndarray, start: int) -> float:
    said = voice(seconds=VOICE_S)[max(0, -start) :]
    heard = samples[max(0, start) :][: len(said)]
    said = said[: len(heard)]
    return float(heard @ said / (np.linalg.norm(heard) * np.linalg.norm(said) + 1e-9))


@pytest.mark.parametrize("name", MAKERS)
def test_odd_file(name: str, tmp_path: Path) -> None:
    expected = made(name, tmp_path)
    if expected.error is not None:
        with pytest.raises(expected.error) as caught:
            read_all(expected.path)
        assert type(caught.value) is expected.error
        assert tmp_path.name not in str(caught.value)
        assert Path(str(expected.path)).name not in str(caught.value)
        return
    samples, facts = read_all(expected.path)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0
    assert facts.duration_s == len(samples) / 16_000
    assert facts.duration_s == pytest.approx(expected.duration_s, abs=expected.tolerance_s + 1e-4)
    if expected.correlation:
        assert correlation(samples, expected.lag_s) > expected.correlation
    check_damage(expected, facts.damage)


def check_damage(expected: Odd, damage: Damage) -> None:
    if expected.damage == "none":
        assert damage == GOOD
    elif expected.damage == "frames":
        assert damage.frames > 0
    elif expected.damage == "truncated":
        assert damage.truncated
        assert damage.missing_s == pytest.approx(VOICE_S - expected.duration_s, abs=0.5)
    elif expected.damage == "invalid":
        assert damage == Damage(invalid_samples=12)


@pytest.mark.parametrize(
    "name", ["wav_size_ffffffff", "mp3", "opus_webm", "aac_m4a", "flac_stereo"]
)
def test_path_bytes_stream_and_pipe_give_the_same(name: str, tmp_path: Path) -> None:
    path = Path(made(name, tmp_path).path)
    from_path, _ = read_all(path)
    content = path.read_bytes()
    from_bytes, _ = read_all(content)
    with path.open("rb") as stream:
        from_stream, _ = read_all(stream)
        assert not stream.closed
    from_pipe, _ = read_all(OneWay(content))
    for other in (from_bytes, from_stream, from_pipe):
        assert np.array_equal(other, from_path)


class OneWay:
    """A socket or standard input: it reads on and cannot go back."""

    def __init__(self, content: bytes) -> None:
        self._left = content

    def read(self, size: int = -1) -> bytes:
        size = min(5000, len(self._left)) if size < 0 else min(size, 5000)
        piece, self._left = self._left[:size], self._left[size:]
        return piece


@pytest.mark.parametrize("name", ["wav_6_channels", "flac_stereo", "mp3"])
def test_keep_gives_every_channel(name: str, tmp_path: Path) -> None:
    expected = made(name, tmp_path)
    with open_audio(expected.path, channels="keep", block_s=1.0) as reader:
        blocks = list(reader.blocks())
    assert all(block.shape == (reader.channels, 16_000) for block in blocks[:-1])
    planes = np.concatenate(blocks, axis=1)
    assert planes.shape[1] == round(reader.duration_s * 16_000)
    for plane in planes:
        assert correlation(plane, 0.0) > 0.95


def test_hole_is_silence(tmp_path: Path) -> None:
    samples, _ = read_all(made("hole_in_the_middle", tmp_path).path)
    inside = samples[round(1.02 * 16_000) : round(1.58 * 16_000)]
    assert np.abs(inside).max() < 1e-3
    tail, said = samples[26_000:47_000], voice()[26_000:47_000]
    assert tail @ said / (np.linalg.norm(tail) * np.linalg.norm(said)) > 0.95


def test_a_file_is_closed_and_removable_afterwards(tmp_path: Path) -> None:
    path = Path(made("mp3", tmp_path).path)
    reader = open_audio(path)
    next(reader.blocks())
    reader.close()
    reader.close()
    path.unlink()
