"""WAV in every shape that programs write, and in shapes that nobody should."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.errors import (
    AudioDamaged,
    AudioEmpty,
    AudioError,
    AudioInvalid,
    AudioNotMedia,
    AudioTooLong,
)
from lingting.host.wav import read_wav

TONE = (np.sin(np.arange(1_600) / 5) * 0.5).astype(np.float32)


def wav(
    data: bytes,
    *,
    tag: int = 1,
    bits: int = 16,
    channels: int = 1,
    rate_hz: int = 16_000,
    length: int | None = None,
    before: bytes = b"",
) -> bytes:
    step = channels * bits // 8
    layout = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * step, step, bits)
    if tag == 0xFFFE:
        layout += struct.pack("<HHI", 22, bits, 0) + struct.pack("<H", 1) + bytes(14)
    chunks = before + b"fmt " + struct.pack("<I", len(layout)) + layout
    chunks += b"data" + struct.pack("<I", len(data) if length is None else length) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def pcm16(samples: np.ndarray) -> bytes:
    return (samples * 32_767).round().astype("<i2").tobytes()


def test_16_bit_is_exact() -> None:
    data = np.arange(-32_768, 32_768, 7, dtype="<i2")
    np.testing.assert_array_equal(read_wav(wav(data.tobytes())), data / np.float32(32_768))


def test_float_is_exact_and_may_be_written_to() -> None:
    found = read_wav(wav(TONE.tobytes(), tag=3, bits=32))
    np.testing.assert_array_equal(found, TONE)
    found[0] = 1.0


@pytest.mark.parametrize("length", [0xFFFF_FFFF, 0x7FFF_FFFF, 9_999_999])
def test_a_stream_promises_more_than_it_holds(length: int) -> None:
    np.testing.assert_allclose(read_wav(wav(pcm16(TONE), length=length)), TONE, atol=1e-4)


def test_other_chunks_are_passed_over() -> None:
    before = b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    np.testing.assert_allclose(read_wav(wav(pcm16(TONE), before=before)), TONE, atol=1e-4)


def test_the_extensible_form() -> None:
    np.testing.assert_allclose(read_wav(wav(pcm16(TONE), tag=0xFFFE)), TONE, atol=1e-4)


def test_channels_are_mixed() -> None:
    stereo = np.stack([TONE, np.zeros_like(TONE)], axis=1)
    np.testing.assert_allclose(read_wav(wav(pcm16(stereo), channels=2)), TONE / 2, atol=1e-4)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_other_rates_are_resampled(rate_hz: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz).astype(np.float32) * 0.5
    found = read_wav(wav(tone.tobytes(), tag=3, bits=32, rate_hz=rate_hz))
    want = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000) * 0.5
    assert abs(len(found) - 16_000) <= 2
    middle = slice(4_000, 12_000)
    assert np.sqrt(np.mean((found[middle] - want[middle]) ** 2)) < 0.02


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", AudioNotMedia),
        (b"ID3\x04" + bytes(99), AudioNotMedia),
        (b"OggS" + bytes(99), AudioNotMedia),
        (wav(pcm16(TONE))[:30], AudioDamaged),
        (wav(pcm16(TONE))[:44], AudioEmpty),
        (wav(b"\x01"), AudioEmpty),
        (wav(pcm16(TONE), tag=2, bits=4), AudioInvalid),
        (wav(pcm16(TONE), bits=24), AudioInvalid),
        (wav(pcm16(TONE), channels=0), AudioInvalid),
        (wav(pcm16(TONE), rate_hz=0), AudioInvalid),
        (b"RIFX" + wav(pcm16(TONE))[4:], AudioInvalid),
        (wav(bytes(2 * 8_000 * 31), rate_hz=8_000), AudioTooLong),
    ],
)
def test_what_is_none(data: bytes, error: type[AudioError]) -> None:
    with pytest.raises(error):
        read_wav(data)


@given(st.binary(max_size=120), st.integers(0, 60))
def test_no_bytes_break_the_reader(data: bytes, at: int) -> None:
    whole = wav(pcm16(TONE[:20]))
    for given_bytes in (data, whole[:at] + data, whole[:at] + data + whole[at + len(data) :]):
        with suppress(AudioError):
            assert read_wav(given_bytes).dtype == np.float32
