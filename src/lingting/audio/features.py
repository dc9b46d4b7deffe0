"""Acoustic features of 16 kHz speech, deterministic and without torch.

``whisper_log_mel`` is the log-mel spectrogram of Whisper. It is computed in float32 a few hundred
frames at a time, so that the working set stays in the processor's cache.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from lingting.audio import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]
Frames = NDArray[np.float32]

_BATCH_FRAMES = 256

WHISPER_FFT = 400
WHISPER_HOP_SAMPLES = 160
WHISPER_MELS = 80


def whisper_log_mel(samples: Samples, *, pad_samples: int = 0) -> Frames:
    """The log-mel spectrogram that Whisper models were trained on.

    ``samples`` is mono ``[n]`` at 16 kHz in [-1, 1]; ``pad_samples`` zeros are put behind it (30 s
    of them give the original's padding). Returns ``[80, (n + pad_samples) // 160]``, any ``n``.

    Definition: openai/whisper ``audio.log_mel_spectrogram``: periodic Hann window of 400, hop 160,
    reflected edges, the last frame dropped, 80 Slaney mels of the power, log10, at most 8 below
    the loudest value, then ``(x + 4) / 4``.
    """
    signal = np.asarray(samples, np.float32)
    if pad_samples:
        signal = np.concatenate([signal, np.zeros(pad_samples, np.float32)])
    frames = len(signal) // WHISPER_HOP_SAMPLES
    if frames == 0:
        return np.zeros((WHISPER_MELS, 0), np.float32)
    padded = np.pad(signal, WHISPER_FFT // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, WHISPER_FFT)[::WHISPER_HOP_SAMPLES]
    hann, filters = _hann(WHISPER_FFT), _slaney_filters(WHISPER_MELS)
    log_mel = np.empty((WHISPER_MELS, frames), np.float32)
    for first in range(0, frames, _BATCH_FRAMES):
        last = min(first + _BATCH_FRAMES, frames)
        power = _power(windows[first:last] * hann, WHISPER_FFT)
        np.matmul(filters, power.T, out=log_mel[:, first:last])
    np.maximum(log_mel, 1e-10, out=log_mel)
    np.log10(log_mel, out=log_mel)
    np.maximum(log_mel, log_mel.max() - np.float32(8.0), out=log_mel)
    log_mel += np.float32(4.0)
    log_mel *= np.float32(0.25)
    return log_mel


def _power(windowed: NDArray[np.float32], fft_size: int) -> NDArray[np.float32]:
    """|FFT|² of each row: ``[frames, window]`` → ``[frames, fft_size // 2 + 1]``."""
    # numpy < 2 computes in double precision whatever it is given.
    spectrum = np.fft.rfft(windowed, fft_size, axis=1).astype(np.complex64, copy=False)
    parts = spectrum.view(np.float32)
    np.square(parts, out=parts)
    return np.add(parts[:, 0::2], parts[:, 1::2])


@cache
def _hann(size: int) -> NDArray[np.float32]:
    """The periodic form: one period of ``size`` samples."""
    return np.hanning(size + 1)[:-1].astype(np.float32)


@cache
def _slaney_filters(mels: int) -> NDArray[np.float32]:
    """Triangles of equal area on Slaney's scale: linear below 1 kHz, logarithmic above.

    Slaney, "Auditory Toolbox", 1998: 3 mel per 200 Hz, then 27 steps per factor of 6.4.
    Shape ``[mels, 201]``.
    """
    top_mel = _hz_to_slaney(SAMPLE_RATE_HZ / 2)
    edges_hz = _slaney_to_hz(np.linspace(0.0, top_mel, mels + 2))
    bins_hz = np.fft.rfftfreq(WHISPER_FFT, 1 / SAMPLE_RATE_HZ)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * 2.0 / (high - low)).astype(np.float32)


def _hz_to_slaney(hz: float) -> float:
    """For frequencies from 1 kHz up."""
    return float(15.0 + 27.0 * np.log(hz / 1000.0) / np.log(6.4))


def _slaney_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))
