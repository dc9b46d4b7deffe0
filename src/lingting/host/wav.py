"""WAV to samples, without a media library: callers of a host are programs that make clips.

A host never opens other containers. A damaged or hostile recording can stop a decoder, and with it
everybody's engine; whole recordings are read in processes of their own, elsewhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import MAX_CLIP_S, SAMPLE_RATE_HZ
from lingting.errors import AudioDamaged, AudioEmpty, AudioInvalid, AudioNotMedia

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FORMAT = struct.Struct("<HHIIHH")
_DTYPES = {(_PCM, 16): "<i2", (_PCM, 32): "<i4", (_FLOAT, 32): "<f4", (_FLOAT, 64): "<f8"}
_LONGEST_S = MAX_CLIP_S + 0.01  # resampling may add a sample


@dataclass(frozen=True, slots=True)
class _Format:
    dtype: str
    channels: int
    rate_hz: int


def read_wav(data: bytes) -> NDArray[np.float32]:
    """Mono samples at 16 kHz. Raises an AudioError; a length that lies is of no consequence."""
    if len(data) < 12 or data[:4] not in (b"RIFF", b"RIFX") or data[8:12] != b"WAVE":
        raise AudioNotMedia(
            "An engine host takes clips as WAV; this file is something else.",
            "Send recordings to the service, or make it WAV.",
        )
    if data[:4] == b"RIFX":
        raise AudioInvalid("The WAV is big-endian.", "Write it little-endian, as RIFF.")
    made: _Format | None = None
    for name, start, end in _chunks(data):
        if name == b"fmt ":
            made = _format(data[start:end])
        elif name == b"data":
            if made is None:
                break
            return _samples(data[start:end], made)
    raise AudioDamaged("The WAV has no format or no samples.")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, first and last byte; streams promise more than they hold."""
    at = 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        start, end = at + 8, min(at + 8 + length, len(data))
        yield data[at : at + 4], start, end
        at = start + length + length % 2


def _format(chunk: bytes) -> _Format:
    if len(chunk) < _FORMAT.size:
        raise AudioDamaged("The WAV's format is cut off.")
    tag, channels, rate_hz, _, _, bits = _FORMAT.unpack_from(chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    dtype = _DTYPES.get((tag, bits))
    if dtype is None or not 1 <= channels <= 64 or not 1_000 <= rate_hz < 1_000_000:
        raise AudioInvalid(
            f"The WAV has {channels} channels of {bits} bits in format {tag} at {rate_hz} Hz.",
            "Give 16 or 32 bit PCM or 32 bit float, best mono at 16 kHz.",
        )
    return _Format(dtype, channels, rate_hz)


def _samples(data: bytes, made: _Format) -> NDArray[np.float32]:
    frame_bytes = np.dtype(made.dtype).itemsize * made.channels
    whole = data[: len(data) // frame_bytes * frame_bytes]
    if not whole:
        raise AudioEmpty("The WAV holds no samples.")
    frames: NDArray[Any] = np.frombuffer(whole, made.dtype)
    if made.channels == 1 and made.rate_hz == SAMPLE_RATE_HZ:
        if made.dtype == "<i2":
            return frames.astype(np.float32) / np.float32(32_768)
        if made.dtype == "<f4":
            return frames.astype(np.float32)  # its own copy, which may be written to
    from lingting.audio.decode import read_all
    from lingting.audio.source import Limits

    planes = np.ascontiguousarray(frames.reshape(-1, made.channels).T)
    if made.channels == 1:
        planes = planes[0]
    samples, _ = read_all(
        planes.astype(planes.dtype.newbyteorder("=")),
        sample_rate_hz=made.rate_hz,
        limits=Limits(max_duration_s=_LONGEST_S),
    )
    return samples
