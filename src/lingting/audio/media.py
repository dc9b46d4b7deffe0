"""From an open source to float chunks at its own sample rate, with its losses counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from lingting.audio import arrays, ffmpeg
from lingting.audio.promise import Head, Promise, read_head, read_promise, start_of
from lingting.audio.source import Limits, Source
from lingting.audio.timeline import Timeline
from lingting.errors import AudioDamaged, AudioInvalid, AudioTooLong

_GROUP_S = 2.0
_SILENCE_S = 10.0
_MAX_BAD_SHARE = 0.2
_MIN_BAD_PACKETS = 8
# Far into a recording there is no need to wait for its end to see that nothing decodes.
_HOPELESS_PACKETS = 500
_HOPELESS_SHARE = 0.5
_MAX_BAD_READS_IN_A_ROW = 20
_MISSING_S = 0.5
_MISSING_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Chunk:
    """Float ``[channels, n]`` at the source's own rate."""

    planes: NDArray[np.float32]
    rate_hz: int


class Input:
    """What arrays and media have in common for the reader."""

    sample_rate_hz: int
    channels: int
    container: str
    codec: str
    promise: Promise
    bad_packets = 0

    def chunks(self) -> Iterator[Chunk]:
        raise NotImplementedError

    def check_share(self) -> None:
        """Raises AudioDamaged when too large a share was broken."""

    def missing_s(self) -> float:
        return 0.0

    def close(self) -> None:
        """Nothing to free."""


class ArrayInput(Input):
    def __init__(self, given: Any, sample_rate_hz: int, limits: Limits) -> None:
        self._planes = arrays.check_array(given, sample_rate_hz, limits)
        self.sample_rate_hz = sample_rate_hz
        self.channels = len(self._planes)
        self.container = "array"
        self.codec = self._planes.dtype.name
        self.promise = Promise(self._planes.shape[1] / sample_rate_hz, True)

    def chunks(self) -> Iterator[Chunk]:
        for planes in arrays.chunks_of(self._planes, self.sample_rate_hz):
            yield Chunk(planes, self.sample_rate_hz)


class MediaInput(Input):
    """One audio track of a container."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        with ffmpeg.map_av_errors():
            head = read_head(source)
        self._container = ffmpeg.open_container(source)
        try:
            with ffmpeg.map_av_errors():
                self._track = ffmpeg.choose_track(self._container)
                self._read_facts(head)
        except BaseException:
            self._container.close()
            raise

    def _read_facts(self, head: Head) -> None:
        context = self._track.codec_context
        self.sample_rate_hz = self._track.rate
        self.channels = context.channels
        self.container = self._container.format.name.split(",")[0]
        self.codec = context.codec.canonical_name
        self.promise = read_promise(self._container, self._track, head)
        ffmpeg.check_rate(self.sample_rate_hz)
        if not 1 <= self.channels <= self._limits.max_channels:
            raise AudioInvalid(
                f"It has {self.channels} channels; 1 to {self._limits.max_channels} are allowed.",
                "Keep the channels that hold speech.",
            )
        if self.promise.is_firm and self.promise.duration_s is not None:
            self._check_duration(self.promise.duration_s)
        if self.codec == "flac":
            # Without this a frame with a wrong checksum is played as noise. With it the frame
            # vanishes without an error, but the next one's number tells.
            context.options = {"err_detect": "crccheck+explode"}
        self._is_exact = self.container == self.codec == "flac"
        self.bad_packets = 0
        self._packets = 0
        self._is_read_to_end = False
        promised_s = self.promise.duration_s if self.promise.is_firm else None
        self._timeline = Timeline(start_of(self._container), promised_s, is_exact=self._is_exact)

    def close(self) -> None:
        self._container.close()
        self._source.close()

    def missing_s(self) -> float:
        promised_s = self.promise.duration_s
        if not self._is_read_to_end or promised_s is None or not self.promise.is_firm:
            return 0.0
        missing_s = promised_s - self._timeline.end_s
        return missing_s if missing_s > max(_MISSING_S, _MISSING_SHARE * promised_s) else 0.0

    def check_share(self) -> None:
        share = self.bad_packets / max(1, self._packets)
        nothing = self._timeline.end_s == 0 and self.bad_packets > 0
        if nothing or (self.bad_packets >= _MIN_BAD_PACKETS and share > _MAX_BAD_SHARE):
            raise AudioDamaged(
                f"{self.bad_packets} of {self._packets} packets cannot be decoded; "
                f"up to {_MAX_BAD_SHARE:.0%} would be skipped."
            )

    def chunks(self) -> Iterator[Chunk]:
        """Frames in groups, holes as silence: calls per sample cost more than the samples."""
        group = _Group()
        bad_before = 0
        for frame in self._frames():
            hole_s = self._timeline.hole_before(_stamp_s(frame))
            if hole_s and self._is_exact and self.bad_packets == bad_before:
                self._count_bad()
            bad_before = self.bad_packets
            if hole_s or not group.can_add(frame):
                yield from group.take()
            if hole_s:
                yield from self._silence(hole_s, frame)
            self._timeline.advance(frame.samples / frame.sample_rate)
            self._check_duration(self._timeline.end_s)
            group.add(frame)
            if group.is_full:
                yield from group.take()
        yield from group.take()
        self._is_read_to_end = True

    def _silence(self, hole_s: float, like: AudioFrame) -> Iterator[Chunk]:
        rate_hz = like.sample_rate
        channels = like.layout.nb_channels
        left = round(hole_s * rate_hz)
        while left > 0:
            count = min(left, int(_SILENCE_S * rate_hz))
            self._timeline.advance(count / rate_hz)
            self._check_duration(self._timeline.end_s)
            yield Chunk(np.zeros((channels, count), np.float32), rate_hz)
            left -= count

    def _frames(self) -> Iterator[AudioFrame]:
        for packet in self._demuxed():
            self._packets += packet.size > 0
            try:
                frames = packet.decode()
            except av.error.EOFError:
                continue
            except av.error.FFmpegError:
                self._count_bad()
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._count_bad()
                if frame.samples and frame.sample_rate:
                    yield frame

    def _demuxed(self) -> Iterator[Any]:
        """Packets of the track, then the empty one that makes the decoder give its last frames."""
        bad_reads = 0
        packets = self._container.demux(self._track)
        while True:
            try:
                with ffmpeg.map_av_errors():
                    packet = next(packets, None)
            except AudioDamaged:
                self._packets += 1
                self._count_bad()
                bad_reads += 1
                if bad_reads > _MAX_BAD_READS_IN_A_ROW:
                    return
                packets = self._container.demux(self._track)
                continue
            if packet is None:
                return
            bad_reads = 0
            yield packet

    def _count_bad(self) -> None:
        self.bad_packets += 1
        self._timeline.lose_packet()
        is_far = self.bad_packets >= _HOPELESS_PACKETS
        if is_far and self.bad_packets > _HOPELESS_SHARE * self._packets:
            self.check_share()

    def _check_duration(self, duration_s: float) -> None:
        if duration_s > self._limits.max_duration_s:
            raise AudioTooLong(
                f"The recording is longer than the limit of {self._limits.max_duration_s:.0f} s."
            )


def _stamp_s(frame: AudioFrame) -> float | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return float(frame.pts * frame.time_base)


class _Group:
    """Consecutive frames of one format, read out as one float array."""

    def __init__(self) -> None:
        self._fifo = AudioFifo()
        self._kind: tuple[object, ...] | None = None

    @staticmethod
    def _kind_of(frame: AudioFrame) -> tuple[object, ...]:
        return (frame.format.name, frame.sample_rate, frame.layout.nb_channels)

    def can_add(self, frame: AudioFrame) -> bool:
        return self._kind is None or self._kind == self._kind_of(frame)

    def add(self, frame: AudioFrame) -> None:
        if self._kind is None:
            self._kind = self._kind_of(frame)
        frame.pts = None  # the queue would insist on timestamps without jitter
        self._fifo.write(frame)

    @property
    def is_full(self) -> bool:
        return self._fifo.samples >= _GROUP_S * self._fifo.sample_rate

    def take(self) -> Iterator[Chunk]:
        """What was gathered, if anything; the group is empty afterwards."""
        if self._kind is None:
            return
        frame = self._fifo.read()
        assert frame is not None
        rate_hz = frame.sample_rate
        samples = ffmpeg.samples_of(frame)
        self._fifo, self._kind = AudioFifo(), None
        yield Chunk(arrays.as_float(samples), rate_hz)
