"""What a worker and its reading processes say to each other, over a socket between the two.

A message is a length, a header in JSON of that length, and behind it as many bytes as the header's
``bytes`` says. Nothing is unpickled: whoever takes over a reading process with a crafted file can
say wrong things about that file, and no more.
"""

from __future__ import annotations

import json
import operator
import socket
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lingting.audio.decode import AudioFacts
from lingting.engines.envelope import UNREADABLE, error_dict, read_error
from lingting.errors import FaultError, LingtingError
from lingting.pipeline.reading import Group, GroupClip
from lingting.transcript import Damage, Span
from lingting.vad.pack import ClipMap
from lingting.vad.speech import ReadyClip

_LENGTH = struct.Struct(">I")
_MAX_HEADER_BYTES = 64 << 20
_MAX_BODY_BYTES = 64 << 20
"""Six times the longest group: 120 s and a last clip of 30 s, and its peaks."""


class Gone(Exception):
    """The other side ended, or what it says makes no sense."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What came next of a recording: a group, or its end, or both; neither is a pause."""

    group: Group | None
    total_s: float | None
    """What the container promises."""
    facts: AudioFacts | None = None
    """Of the whole recording, with its end."""
    peaks: bytes | None = None

    @property
    def is_last(self) -> bool:
        return self.facts is not None

    @property
    def is_pause(self) -> bool:
        return self.group is None and self.facts is None

    @property
    def audio_s(self) -> float:
        return 0.0 if self.group is None else self.group.audio_s


def send(link: socket.socket, header: dict[str, Any], body: Sequence[bytes] = ()) -> None:
    """Raises Gone."""
    head = json.dumps({**header, "bytes": sum(map(len, body))}).encode()
    try:
        link.sendall(_LENGTH.pack(len(head)) + head)
        for piece in body:
            link.sendall(piece)
    except OSError as exc:
        raise Gone from exc


def receive(link: socket.socket) -> tuple[dict[str, Any], bytearray]:
    """Header and body. Raises Gone; TimeoutError when nothing comes in the socket's time."""
    (size,) = _LENGTH.unpack(_exactly(link, _LENGTH.size))
    if size > _MAX_HEADER_BYTES:
        raise Gone
    try:
        header = json.loads(bytes(_exactly(link, size)))
        body_bytes = int(header["bytes"])
    except UNREADABLE as exc:
        raise Gone from exc
    if not 0 <= body_bytes <= _MAX_BODY_BYTES:
        raise Gone
    return header, _exactly(link, body_bytes)


def _exactly(link: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    at = 0
    while at < size:
        try:
            count = link.recv_into(view[at:])
        except TimeoutError:
            raise
        except OSError as exc:
            raise Gone from exc
        if count == 0:
            raise Gone
        at += count
    return data


def send_part(link: socket.socket, part: Part) -> None:
    clips = part.group.clips if part.group else ()
    header = {
        "kind": "part",
        "number": part.group.number if part.group else None,
        "clips": [_clip_header(one) for one in clips],
        "total_s": part.total_s,
        "facts": asdict(part.facts) if part.facts else None,
        "peaks": len(part.peaks) if part.peaks is not None else None,
    }
    body = [one.clip.samples.astype("<f4", copy=False).tobytes() for one in clips]
    send(link, header, [*body, part.peaks or b""])


def _clip_header(one: GroupClip) -> dict[str, Any]:
    clip = one.clip
    return {
        "channel": one.channel,
        "samples": len(clip.samples),
        "pieces": [[piece.start_s, piece.end_s] for piece in clip.map.pieces],
        "start_s": clip.start_s,
        "end_s": clip.end_s,
        "speech_s": clip.speech_s,
        "mean_score": clip.mean_score,
        "peak_score": clip.peak_score,
        "level_db": clip.level_db,
    }


def part_of(header: dict[str, Any], body: bytearray) -> Part:
    """Raises Gone for what is no part."""
    try:
        count = sum(one["samples"] for one in header["clips"])
        samples = np.frombuffer(body, "<f4", count) if count else np.zeros(0, np.float32)
        clips: list[GroupClip] = []
        at = 0
        for one in header["clips"]:
            clips.append(_clip_of(one, samples[at : at + one["samples"]]))
            at += one["samples"]
        facts = header["facts"]
        if facts is not None:
            facts = AudioFacts(**{**facts, "damage": Damage(**facts["damage"])})
        peaks, number = header["peaks"], header["number"]
        return Part(
            Group(operator.index(number), tuple(clips)) if number is not None else None,
            header["total_s"],
            facts,
            bytes(body[len(body) - peaks :]) if peaks is not None else None,
        )
    except UNREADABLE as exc:
        raise Gone from exc


def _clip_of(header: dict[str, Any], samples: Any) -> GroupClip:
    names = ("start_s", "end_s", "speech_s", "mean_score", "peak_score", "level_db")
    clip = ReadyClip(
        samples=samples,
        map=ClipMap(tuple(Span(start_s, end_s) for start_s, end_s in header["pieces"])),
        **{name: float(header[name]) for name in names},
    )
    return GroupClip(clip, header["channel"])


def error_header(error: LingtingError) -> dict[str, Any]:
    return {"kind": "error", **error_dict(error)}


def error_of(header: dict[str, Any]) -> LingtingError:
    """The error that the other side met. Raises Gone for what is none."""
    try:
        return read_error(header, unknown=FaultError)
    except UNREADABLE as exc:
        raise Gone from exc
