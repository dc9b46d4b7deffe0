"""PyAV's errors, the resampler and what FFmpeg may open."""

from __future__ import annotations

import logging

import av.error
import av.logging
import numpy as np
import pytest

from lingting.audio import ffmpeg
from lingting.errors import AudioDamaged, AudioError, AudioPathUnreadable

CLASSES = sorted(
    (
        kind
        for kind in vars(av.error).values()
        if isinstance(kind, type)
        and issubclass(kind, av.error.FFmpegError)
        and kind is not av.error.FFmpegError
    ),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_of_pyav_is_mapped(kind: type[av.error.FFmpegError]) -> None:
    meaning = ffmpeg.meaning_of(kind)
    assert meaning is not None, f"{kind.__name__} is new: say in ffmpeg._MEANINGS what it means"
    assert issubclass(meaning[0], AudioError)
    cause = kind(1, "a file name")
    with pytest.raises(meaning[0]) as caught, ffmpeg.map_av_errors():
        raise cause
    assert caught.value.__cause__ is cause
    assert "file name" not in str(caught.value)


def test_an_unmapped_class_has_no_meaning_but_still_becomes_ours() -> None:
    class NewError(av.error.FFmpegError):
        pass

    assert ffmpeg.meaning_of(NewError) is None
    with pytest.raises(AudioDamaged), ffmpeg.map_av_errors():
        raise NewError(1, "a file name")


def test_failing_stream_under_ffmpeg_is_a_path_error() -> None:
    with pytest.raises(AudioPathUnreadable) as caught, ffmpeg.map_av_errors():
        raise OSError(5, "Input/output error", "name.wav")
    assert "name.wav" not in str(caught.value)


def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), ffmpeg.map_av_errors():
        raise ZeroDivisionError


def test_ffmpeg_log_is_off() -> None:
    assert av.logging.get_level() is None
    assert not logging.getLogger("libav").handlers


def resampled(rate_hz: int, hertz: float, piece: int = 44_100, seconds: float = 3.0) -> np.ndarray:
    time_s = np.arange(int(rate_hz * seconds)) / rate_hz
    tone = (0.5 * np.sin(2 * np.pi * hertz * time_s)).astype(np.float32)
    resampler = ffmpeg.Resampler(rate_hz)
    pieces = [resampler.feed(tone[i : i + piece]) for i in range(0, len(tone), piece)]
    return np.concatenate([*pieces, resampler.finish()])


def level_db(samples: np.ndarray) -> float:
    middle = samples[2000:-2000].astype(np.float64)
    return float(20 * np.log10(np.sqrt(np.mean(middle**2)) / (0.5 / np.sqrt(2)) + 1e-12))


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 48_000, 96_000, 192_000])
def test_tone_keeps_its_shape_and_place(rate_hz: int) -> None:
    samples = resampled(rate_hz, 1000.0)
    ideal = 0.5 * np.sin(2 * np.pi * 1000.0 * np.arange(len(samples)) / 16_000)
    assert abs(len(samples) - 48_000) <= 1
    error = (samples - ideal)[2000:-2000]
    assert 20 * np.log10(np.sqrt(np.mean(error**2)) / (0.5 / np.sqrt(2))) < -90


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("hertz", [8_500, 9_000, 10_000, 15_000, 20_000])
def test_what_16_khz_cannot_hold_does_not_fold_back(rate_hz: int, hertz: float) -> None:
    assert level_db(resampled(rate_hz, hertz)) < -80


@pytest.mark.parametrize("hertz", [100, 3_000, 6_000, 7_000])
def test_speech_band_is_flat(hertz: float) -> None:
    assert abs(level_db(resampled(48_000, hertz))) < 0.05


@pytest.mark.parametrize("piece", [1, 160, 4_801])
def test_no_seam_between_pieces(piece: int) -> None:
    assert (
        np.abs(resampled(48_000, 440.0, piece, 0.2) - resampled(48_000, 440.0, 10**6, 0.2)).max()
        < 1e-6
    )


def test_16_khz_passes_untouched() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    resampler = ffmpeg.Resampler(16_000)
    assert np.array_equal(resampler.feed(samples), samples)
    assert len(resampler.finish()) == 0
