"""What a container says about its length, and whether that can be held against the recording."""

from __future__ import annotations

from dataclasses import dataclass

from av.audio.stream import AudioStream
from av.container import InputContainer

from lingting.audio.source import Source

_AV_TIME_BASE = 1_000_000
# These streams carry no length; FFmpeg divides the file's size by a bit rate.
_ESTIMATED = frozenset(
    "aac,ac3,ac4,amr,amrnb,amrwb,dts,dtshd,eac3,gsm,loas,mlp,sbc,truehd".split(",")  # noqa: SIM905
)
_MP3_INDEX_MARKS = (b"Xing", b"Info", b"VBRI")
_MP3_HEAD_BYTES = 4096
_ID3_HEADER_BYTES = 10
_MAX_WAV_CHUNKS = 64
_LIVE_WAV_BYTES = 0x7FFF_0000


@dataclass(frozen=True, slots=True)
class Promise:
    """``is_firm``: the length was written by whoever made the file, not estimated from its size."""

    duration_s: float | None
    is_firm: bool


@dataclass(frozen=True, slots=True)
class Head:
    """What FFmpeg reads at the start of a file and does not pass on."""

    has_mp3_index: bool = False
    """The first MPEG frame, behind any ID3 tag, counts the frames."""
    wav_duration_s: float | None = None
    """By the size in the header of the samples; FFmpeg looks at the size of the file instead."""


def read_head(source: Source) -> Head:
    """Reads a few kilobytes and goes back to the start. Raises OSError."""
    mark = source.peek(12)
    if mark[:4] == b"RIFF" and mark[8:] == b"WAVE":
        return Head(wav_duration_s=_wav_duration_s(source))
    return Head(has_mp3_index=_has_mp3_index(source, mark))


def _wav_duration_s(source: Source) -> float | None:
    """None where the header does not know: 0 and nearly 2 or 4 GB are written by live recorders."""
    byte_rate = 0
    offset = 12
    for _ in range(_MAX_WAV_CHUNKS):
        chunk = source.peek(8 + 16, offset)
        if len(chunk) < 8:
            return None
        size = int.from_bytes(chunk[4:8], "little")
        if chunk[:4] == b"fmt ":
            byte_rate = int.from_bytes(chunk[16:20], "little")
        if chunk[:4] == b"data":
            is_known = byte_rate > 0 and 0 < size < _LIVE_WAV_BYTES
            return size / byte_rate if is_known else None
        offset += 8 + size + size % 2
    return None


def _has_mp3_index(source: Source, mark: bytes) -> bool:
    start = 0
    if mark.startswith(b"ID3") and len(mark) >= _ID3_HEADER_BYTES:
        for byte in mark[6:10]:  # four bytes of seven bits
            start = start << 7 | byte & 0x7F
        start += _ID3_HEADER_BYTES
    frame = source.peek(_MP3_HEAD_BYTES, start)
    return any(index in frame for index in _MP3_INDEX_MARKS)


def read_promise(container: InputContainer, track: AudioStream, head: Head) -> Promise:
    """Until when the track lasts, in seconds from the container's start."""
    kind = container.format.name
    if head.wav_duration_s is not None:
        return Promise(head.wav_duration_s, True)
    firm_kind = head.has_mp3_index if kind == "mp3" else kind not in _ESTIMATED
    if track.duration is not None and track.time_base is not None:
        end_s = float((track.duration + (track.start_time or 0)) * track.time_base)
        return Promise(end_s - start_of(container), firm_kind)
    if container.duration is None or container.duration <= 0:
        return Promise(None, False)
    # The container's length is that of its longest track, which may be the picture's.
    is_alone = len(container.streams) == 1
    return Promise(container.duration / _AV_TIME_BASE, firm_kind and is_alone)


def start_of(container: InputContainer) -> float:
    """The container's earliest timestamp, never below its own zero."""
    return max(0.0, (container.start_time or 0) / _AV_TIME_BASE)
