"""What a reading process says arrives whole; what makes no sense is no answer."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lingting.audio.decode import AudioFacts
from lingting.errors import AudioDamaged, AudioNotMedia, FaultError
from lingting.jobs import exchange
from lingting.jobs.exchange import Gone, Part
from lingting.pipeline.reading import Group, GroupClip
from lingting.transcript import Damage, Span
from lingting.vad.pack import ClipMap
from lingting.vad.speech import ReadyClip


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def part() -> Part:
    samples = np.linspace(-1, 1, 1_000, dtype=np.float32)
    clip = ReadyClip(
        samples, ClipMap((Span(1.0, 1.05), Span(2.0, 2.0125))), 1.0, 2.0125, 0.04, 0.7, 0.9, -23.5
    )
    second = replace(clip, samples=samples[:500] / 3)
    facts = AudioFacts(8_000, 2, "wav", "pcm", None, 3.5, Damage(1, True, 0.5, 2))
    return Part(Group(4, (GroupClip(clip), GroupClip(second, 1))), 3.75, facts, b"\x80\x7f")


def passed(ours: socket.socket, theirs: socket.socket, given: Part) -> Part:
    thread = threading.Thread(target=exchange.send_part, args=(theirs, given))
    thread.start()
    found = exchange.part_of(*exchange.receive(ours))
    thread.join()
    return found


def test_a_part_arrives_whole(pair: tuple[socket.socket, socket.socket]) -> None:
    given = part()
    found = passed(*pair, given)
    assert (found.total_s, found.facts, found.peaks) == (given.total_s, given.facts, given.peaks)
    assert found.is_last
    assert found.group is not None
    assert given.group is not None
    assert found.group.number == 4
    for one, other in zip(found.group.clips, given.group.clips, strict=True):
        assert one.channel == other.channel
        assert np.array_equal(one.clip.samples, other.clip.samples)
        assert one.clip.map == other.clip.map
        assert (
            replace(one.clip, samples=None, map=None).__dict__
            == replace(other.clip, samples=None, map=None).__dict__
        )  # type: ignore[arg-type]
    assert found.audio_s == pytest.approx(1_500 / 16_000)


def test_the_end_of_a_recording_without_speech(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    found = passed(*pair, replace(part(), group=None))
    assert found.group is None
    assert found.is_last
    assert found.audio_s == 0.0


def test_errors_keep_their_class(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    given = AudioDamaged("Half of it is damaged.", "Copy it again.")
    exchange.send(theirs, exchange.error_header(given))
    found = exchange.error_of(exchange.receive(ours)[0])
    assert type(found) is AudioDamaged
    assert str(found) == str(given)
    header = exchange.error_header(given)
    assert type(exchange.error_of({**header, "code": AudioNotMedia.code})) is AudioNotMedia
    assert type(exchange.error_of({**header, "code": "no.such"})) is FaultError
    with pytest.raises(Gone):
        exchange.error_of({"kind": "error"})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x00",
        struct.pack(">I", 1 << 31) + b"x",
        struct.pack(">I", 3) + b"abc",
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 12) + b'{"bytes": 9}' + b"short",
        struct.pack(">I", 13) + b'{"bytes": -1}',
        struct.pack(">I", 22) + b'{"bytes": 99999999999}',
        struct.pack(">I", 19) + b'{"bytes": Infinity}',
        struct.pack(">I", 5000) + b"[" * 5000,
    ],
)
def test_what_makes_no_sense(pair: tuple[socket.socket, socket.socket], data: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(Gone):
        exchange.receive(ours)


LONG_CLIP = {
    "samples": 2, "pieces": [[0.0, 1.0]], "channel": None, "start_s": 10**400, "end_s": 1.0,
    "speech_s": 1.0, "mean_score": 1.0, "peak_score": 1.0, "level_db": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"clips": [{"samples": 10**9}]},
        {"clips": [{"samples": -1}]},
        {"facts": {"damage": {}}},
        {"facts": [1]},
        {"clips": None},
        {"number": "1"},
        {"clips": [LONG_CLIP]},
        {"number": 1, "clips": [{"samples": 0, "pieces": [[2.0, 1.0]]}]},
    ],
)
def test_a_header_that_lies(change: dict[str, Any]) -> None:
    header = {"number": None, "clips": [], "total_s": None, "facts": None, "peaks": None}
    assert exchange.part_of(header, bytearray()).group is None
    with pytest.raises(Gone):
        exchange.part_of(json.loads(json.dumps({**header, **change})), bytearray(8))


def test_the_other_side_has_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(Gone):
        exchange.send(ours, {"op": "next"})
