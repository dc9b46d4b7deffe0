"""Any recording to blocks of 16 kHz samples, a few seconds at a time.

::

    source ── demux ── decode ── group ── silence for NaN ── mix ── resample ── blocks
    path,     packets  frames    ~2 s     counted            1 ch   16 kHz      10 s
    bytes …   counted when broken

Memory does not depend on the length of the recording. Damage is counted and reading goes on; only
when most of a recording is broken does it end in ``AudioDamaged``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from lingting.audio import SAMPLE_RATE_HZ, ffmpeg
from lingting.audio.media import ArrayInput, Input, MediaInput
from lingting.audio.mixing import Downmix, silence_invalid
from lingting.audio.source import Limits, open_source
from lingting.errors import AudioEmpty
from lingting.transcript import Damage

__all__ = ["AudioFacts", "AudioReader", "Limits", "open_audio", "read_all", "read_blocks"]

Samples = NDArray[np.float32]
Channels = Literal["mix", "keep"]


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What a recording was; ``duration_s`` and ``damage`` as far as it has been read."""

    sample_rate_hz: int
    channels: int
    container: str
    codec: str
    promised_duration_s: float | None
    duration_s: float
    damage: Damage


class AudioReader:
    """An open recording. Made by ``open_audio``; read it once with ``blocks``.

    ``sample_rate_hz``, ``channels``, ``container``, ``codec`` and ``promised_duration_s`` are known
    at once; ``duration_s`` and ``damage`` grow while blocks are read and are final after the last.
    """

    def __init__(self, input_: Input, channels: Channels, limits: Limits, block_s: float) -> None:
        self._input = input_
        self._limits = limits
        self._is_mixed = channels == "mix"
        self._block_samples = max(1, round(block_s * SAMPLE_RATE_HZ))
        self._invalid_samples = 0
        self._samples_out = 0
        self._is_started = False
        self.sample_rate_hz = input_.sample_rate_hz
        self.channels = input_.channels
        self.container = input_.container
        self.codec = input_.codec
        self.promised_duration_s = input_.promise.duration_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the file; calling it twice is fine."""
        self._input.close()

    @property
    def duration_s(self) -> float:
        """Seconds given out so far, silence for holes included."""
        return self._samples_out / SAMPLE_RATE_HZ

    @property
    def damage(self) -> Damage:
        missing_s = self._input.missing_s()
        return Damage(
            frames=self._input.bad_packets,
            truncated=missing_s > 0,
            missing_s=round(missing_s, 3),
            invalid_samples=self._invalid_samples,
        )

    @property
    def facts(self) -> AudioFacts:
        return AudioFacts(
            sample_rate_hz=self.sample_rate_hz,
            channels=self.channels,
            container=self.container,
            codec=self.codec,
            promised_duration_s=self.promised_duration_s,
            duration_s=self.duration_s,
            damage=self.damage,
        )

    def blocks(self) -> Iterator[Samples]:
        """16 kHz float32 blocks in [-1, 1], ``[n]`` or with ``channels="keep"`` ``[channels, n]``.

        All have the same length except the last. Raises AudioEmpty when nothing could be decoded,
        AudioDamaged when too much could not, AudioTooLong beyond the limit, AudioPathUnreadable
        when the disk fails. Can be called once.
        """
        if self._is_started:
            raise RuntimeError("the blocks of a recording can be read once; open it again")
        self._is_started = True
        for block in _regrouped(self._resampled(), self._block_samples):
            self._samples_out += block.shape[-1]
            yield block
        self._input.check_share()
        if self._samples_out == 0:
            raise AudioEmpty("It holds 0 samples of audio.")

    def _resampled(self) -> Iterator[Samples]:
        """``[n]`` or ``[channels, n]`` pieces of any length at 16 kHz."""
        downmix = Downmix()
        rate_hz = 0
        resamplers: list[ffmpeg.Resampler] = []
        for chunk in self._input.chunks():
            planes, invalid = silence_invalid(chunk.planes)
            self._invalid_samples += invalid
            if self._is_mixed:
                planes = downmix.mix(planes)[None]
            else:
                planes = _with_channels(planes, self.channels)
            if chunk.rate_hz != rate_hz:
                yield self._shaped([r.finish() for r in resamplers])
                rate_hz = chunk.rate_hz
                resamplers = [ffmpeg.Resampler(rate_hz) for _ in planes]
            yield self._shaped([r.feed(p) for r, p in zip(resamplers, planes, strict=True)])
        yield self._shaped([r.finish() for r in resamplers])

    def _shaped(self, rows: list[Samples]) -> Samples:
        if not rows:
            return np.zeros((0,) if self._is_mixed else (self.channels, 0), np.float32)
        samples = rows[0] if self._is_mixed else np.stack(rows)
        return np.clip(samples, -1.0, 1.0)


def open_audio(
    source: Any,
    *,
    limits: Limits | None = None,
    channels: Channels = "mix",
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    block_s: float = 10.0,
) -> AudioReader:
    """Open a path, bytes, a binary stream or an array; use it in a ``with``.

    ``sample_rate_hz`` is the rate of an array and plays no part for anything else. A stream that
    cannot seek is first copied, to disk when it is large. ``channels="mix"`` gives the average of
    all channels (see ``mixing``), ``"keep"`` gives each.

    Raises AudioNotFound, AudioPathUnreadable, AudioEmpty, AudioNotMedia, AudioNoTrack,
    AudioDamaged, AudioTooLong or AudioInvalid; see ``lingting.errors``.
    """
    limits = limits or Limits()
    if hasattr(source, "__array__") and not isinstance(source, (bytes, bytearray, memoryview)):
        return AudioReader(ArrayInput(source, sample_rate_hz, limits), channels, limits, block_s)
    opened = open_source(source, limits)
    try:
        return AudioReader(MediaInput(opened, limits), channels, limits, block_s)
    except BaseException:
        opened.close()
        raise


def read_blocks(source: Any, **options: Any) -> Iterator[Samples]:
    """The blocks of ``open_audio(source, **options)``; closes it at the end."""
    with open_audio(source, **options) as reader:
        yield from reader.blocks()


def read_all(source: Any, **options: Any) -> tuple[Samples, AudioFacts]:
    """All samples at once, ``[n]`` or ``[channels, n]``: for short recordings."""
    with open_audio(source, **options) as reader:
        samples = np.concatenate(list(reader.blocks()), axis=-1)
        return samples, reader.facts


def _regrouped(pieces: Iterator[Samples], size: int) -> Iterator[Samples]:
    """The same samples in blocks of ``size``; only the last is shorter."""
    held: list[Samples] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += piece.shape[-1]
        if count < size:
            continue
        joined = np.concatenate(held, axis=-1)
        whole = count - count % size
        for first in range(0, whole, size):
            yield joined[..., first : first + size]
        held = [joined[..., whole:]]
        count -= whole
    if count:
        yield np.concatenate(held, axis=-1)


def _with_channels(planes: Samples, channels: int) -> Samples:
    """A recording that changes its channel count half-way keeps the count it began with."""
    if len(planes) == channels:
        return planes
    return np.repeat(planes.mean(axis=0, keepdims=True), channels, axis=0)
