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


@dataclass(frozen=True, slots=True)
class Promise:
    """``is_firm``: the length was written by whoever made the file, not estimated from its size."""

    duration_s: float | None
    is_firm: bool


def has_mp3_index(source: Source) -> bool:
    """True when the first MPEG frame, behind any ID3 tag, is an index that counts the frames."""
    head = source.peek(_ID3_HEADER_BYTES)
    start = 0
    if head.startswith(b"ID3") and len(head) == _ID3_HEADER_BYTES:
        size = 0
        for byte in head[6:]:  # four bytes of seven bits
            size = size << 7 | byte & 0x7F
        start = _ID3_HEADER_BYTES + size
    frame = source.peek(_MP3_HEAD_BYTES, start)
    return any(mark in frame for mark in _MP3_INDEX_MARKS)


def read_promise(container: InputContainer, track: AudioStream, *, is_indexed: bool) -> Promise:
    """``is_indexed`` is ``has_mp3_index`` of the same bytes."""
    kind = container.format.name
    firm_kind = is_indexed if kind == "mp3" else kind not in _ESTIMATED
    if track.duration is not None and track.time_base is not None:
        return Promise(float(track.duration * track.time_base), firm_kind)
    if container.duration is None or container.duration <= 0:
        return Promise(None, False)
    # The container's length is that of its longest track, which may be the picture's.
    is_alone = len(container.streams) == 1
    return Promise(container.duration / _AV_TIME_BASE, firm_kind and is_alone)


def start_of(container: InputContainer) -> float:
    """The container's earliest timestamp, never below its own zero."""
    return max(0.0, (container.start_time or 0) / _AV_TIME_BASE)
