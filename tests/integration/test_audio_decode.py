"""The reader as a whole: limits, order, memory, real speech through real codecs."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from lingting.audio.decode import Limits, open_audio, read_all, read_blocks
from lingting.errors import AudioInvalid, AudioPathUnreadable, AudioTooLong
from tests.odd_files import NoEncoder, encode, film, pcm16, voice, wav_bytes

SPEECH = Path(__file__).parents[3] / "shared" / "speech"


def test_facts_are_known_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    encode(path, np.tile(voice(44_100), (2, 1)), 44_100, "flac")
    with open_audio(path) as reader:
        assert reader.sample_rate_hz == 44_100
        assert reader.channels == 2
        assert (reader.container, reader.codec) == ("flac", "flac")
        assert reader.promised_duration_s == pytest.approx(3.0)
        assert reader.duration_s == 0.0
        assert not reader.damage
        sizes = []
        for block in reader.blocks():
            sizes.append(len(block))
            assert reader.duration_s == sum(sizes) / 16_000


def test_blocks_are_of_one_size_and_join_to_the_whole() -> None:
    content = wav_bytes(pcm16(voice(44_100, 7.3)), rate_hz=44_100)
    whole, _ = read_all(content)
    for block_s in (0.1, 1.0, 10.0):
        blocks = list(read_blocks(content, block_s=block_s))
        assert {len(block) for block in blocks[:-1]} <= {round(block_s * 16_000)}
        assert np.array_equal(np.concatenate(blocks), whole)


def test_blocks_can_be_read_once() -> None:
    with open_audio(wav_bytes(pcm16(voice()))) as reader:
        list(reader.blocks())
        with pytest.raises(RuntimeError, match="once"):
            list(reader.blocks())


def test_too_long_is_refused_at_once_when_the_container_tells() -> None:
    content = wav_bytes(pcm16(voice()))
    with pytest.raises(AudioTooLong, match="2 s"):
        open_audio(content, limits=Limits(max_duration_s=2.0))


def test_too_long_is_found_while_reading_when_it_does_not() -> None:
    out = io.BytesIO()
    encode(out, voice(48_000, 6.0)[None], 48_000, "aac", container="adts")
    with open_audio(out.getvalue(), limits=Limits(max_duration_s=4.0), block_s=1.0) as reader:
        blocks = reader.blocks()
        assert len(next(blocks)) == 16_000
        with pytest.raises(AudioTooLong):
            list(blocks)


def test_late_sound_counts_towards_the_limit(tmp_path: Path) -> None:
    with pytest.raises(AudioTooLong):
        read_all(film(tmp_path / "late.mkv", 1.5), limits=Limits(max_duration_s=2.0))


def test_channel_limit() -> None:
    content = wav_bytes(pcm16(np.zeros(600)), channels=6)
    with pytest.raises(AudioInvalid, match="6 channels"):
        open_audio(content, limits=Limits(max_channels=4))


def test_disk_that_fails_half_way() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 400_000:
                raise OSError(5, "Input/output error", "secret.wav")
            return super().read(size)

    content = wav_bytes(pcm16(voice(48_000, 10.0)), rate_hz=48_000)
    with pytest.raises(AudioPathUnreadable) as caught:
        read_all(Failing(content))
    assert "secret" not in str(caught.value)


def test_nothing_reaches_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "secret-name.mp3"
    encode(path, voice(44_100)[None], 44_100, "libmp3lame")
    broken = bytearray(path.read_bytes())
    broken[5000:6000] = bytes(range(250)) * 4
    path.write_bytes(broken[:20_000])
    read_all(path)
    assert capfd.readouterr() == ("", "")


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    def peak_bytes(seconds: float) -> int:
        path = tmp_path / f"{seconds}.wav"
        path.write_bytes(wav_bytes(pcm16(voice(44_100, seconds)), rate_hz=44_100))
        tracemalloc.start()
        try:
            for _ in read_blocks(path, block_s=5.0):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(10.0)  # what is made once
    assert peak_bytes(240.0) < peak_bytes(60.0) + 500_000


CODECS = {
    "mp3": ("libmp3lame", 44_100, "mp3", 0.97),
    "opus": ("libopus", 48_000, "ogg", 0.85),
    "aac": ("aac", 44_100, "ipod", 0.97),
    "webm": ("libopus", 48_000, "webm", 0.85),
    "wma": ("wmav2", 44_100, "asf", 0.97),
    "flac": ("flac", 16_000, "flac", 0.999),
    "amr": ("libopencore_amrnb", 8_000, "amr", 0.5),
}
CLIPS = ("en-libri", "zh-aishell", "ja-")


@pytest.mark.speech
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("kind", CODECS)
def test_speech_survives_a_round_trip(kind: str, clip: str) -> None:
    if not SPEECH.is_dir():
        pytest.skip("the recordings of ../shared/speech are absent")
    original, _ = read_all(sorted(SPEECH.glob(f"{clip}*"))[0])
    codec, rate_hz, container, least = CODECS[kind]
    planes, _ = read_all(original)
    at_rate = np.interp(
        np.arange(len(planes) * rate_hz // 16_000) * 16_000 / rate_hz,
        np.arange(len(planes)),
        planes,
    )
    coded = io.BytesIO()
    try:
        encode(
            coded, at_rate[None], rate_hz, codec, container=container,
            bit_rate=12_200 if kind == "amr" else 128_000,
        )  # fmt: skip
    except NoEncoder as exc:
        pytest.skip(f"this build of PyAV has no encoder {exc}")
    heard, facts = read_all(coded.getvalue())
    assert facts.duration_s == pytest.approx(len(original) / 16_000, abs=0.12)
    assert not facts.damage
    assert best_correlation(heard, original) > least


def best_correlation(heard: np.ndarray, said: np.ndarray) -> float:
    """At the best shift of up to 60 ms; formats without delay information start that late."""
    size = 1 << (len(heard) + len(said)).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    lags = np.fft.irfft(product, size)
    best = max(lags[:960].max(), lags[-960:].max())
    return float(best / np.linalg.norm(heard) / np.linalg.norm(said))
