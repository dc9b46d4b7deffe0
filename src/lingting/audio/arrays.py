"""Sample arrays: which shapes and types are audio, and how integers become floats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.audio.source import Limits
from lingting.errors import AudioEmpty, AudioInvalid, AudioTooLong

_DTYPES = ("float32", "float64", "int16", "int32", "uint8")
_CHUNK_S = 4.0
# Decoders overshoot full scale a little; a hundred times is an int16 recording cast to float.
_LOUDEST = 100.0


def check_array(given: Any, sample_rate_hz: int, limits: Limits) -> NDArray[Any]:
    """``[n]``, ``[channels, n]`` or ``[n, channels]`` as a ``[channels, n]`` view.

    Raises AudioInvalid for another shape, type, scale or rate, AudioEmpty and AudioTooLong.
    """
    array = np.asarray(given)
    if array.dtype.newbyteorder("=").name not in _DTYPES:
        raise AudioInvalid(f"The array holds {array.dtype.name}; allowed are {', '.join(_DTYPES)}.")
    if not 1_000 <= sample_rate_hz < 1_000_000:
        raise AudioInvalid(
            f"sample_rate_hz is {sample_rate_hz}; allowed are 1000 to 999999.",
            "Give the rate at which the array was recorded.",
        )
    if array.size == 0:
        raise AudioEmpty("The array holds 0 samples.", "Give at least one sample.")
    planes = _channels_first(array, limits.max_channels)
    duration_s = planes.shape[1] / sample_rate_hz
    if duration_s > limits.max_duration_s:
        raise AudioTooLong(
            f"The array lasts {duration_s:.0f} s; the limit is {limits.max_duration_s:.0f} s."
        )
    return planes


def _channels_first(array: NDArray[Any], max_channels: int) -> NDArray[Any]:
    if array.ndim == 1:
        return array[None]
    if array.ndim != 2:
        raise AudioInvalid(f"The array has {array.ndim} dimensions; 1 or 2 are allowed.")
    rows, columns = array.shape
    if min(rows, columns) > max_channels:
        raise AudioInvalid(
            f"The array has shape {array.shape}; at most {max_channels} channels are allowed."
        )
    if rows == columns and rows > 1:
        raise AudioInvalid(
            f"The array has shape {array.shape}, so channels and samples cannot be told apart."
        )
    return array if rows <= columns else array.T


def chunks_of(planes: NDArray[Any], sample_rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """Float ``[channels, n]`` pieces of a few seconds.

    Raises AudioInvalid when floats are far outside [-1, 1].
    """
    step = int(_CHUNK_S * sample_rate_hz)
    for first in range(0, planes.shape[1], step):
        chunk = as_float(planes[:, first : first + step])
        if planes.dtype.kind == "f":
            _check_scale(chunk)
        yield chunk


def _check_scale(chunk: NDArray[np.float32]) -> None:
    loudest = np.abs(chunk, where=np.isfinite(chunk), out=np.zeros_like(chunk)).max()
    if loudest > _LOUDEST:
        raise AudioInvalid(f"The float samples reach {loudest:.0f}; they must lie in [-1, 1].")


def as_float(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Full scale becomes [-1, 1): integers are divided by 2**(bits - 1), uint8 is centred first."""
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, then silence
            return np.ascontiguousarray(samples, dtype=np.float32)
    if samples.dtype.kind == "u":
        return (samples.astype(np.float32) - np.float32(128.0)) * np.float32(1 / 128)
    scale = np.float32(2.0 ** (1 - 8 * samples.dtype.itemsize))
    return samples.astype(np.float32, order="C") * scale
