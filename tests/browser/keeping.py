"""Recordings with a transcript that a test knows word by word, without waiting for a model."""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Sequence

from workplace import Workplace

from lingting.store import open_store
from lingting.transcript import ModelFacts, Segment, Transcript, Word

SEGMENT_S = 4.0
_RATE = 8_000


def keep(
    workplace: Workplace,
    name: str,
    texts: Sequence[str],
    *,
    owner: str = "admin",
    speakers: Sequence[str] = (),
    tags: Sequence[str] = (),
) -> str:
    """One segment of four seconds for each text, in its own voice; answers the id."""
    segments = tuple(
        _segment(at, text, speakers[at % len(speakers)] if speakers else None)
        for at, text in enumerate(texts)
    )
    transcript = Transcript(
        segments, duration_s=SEGMENT_S * len(texts), language="zh", model=ModelFacts("whisper-base")
    )
    with open_store(workplace.folder) as store:
        kept = store.keep(_tone(name, len(texts)), transcript, name=name, owner=owner)
        if tags:
            store.tag(kept.recording.id, add=list(tags))
    return kept.recording.id


def _segment(at: int, text: str, speaker: str | None) -> Segment:
    start_s, each_s = SEGMENT_S * at, (SEGMENT_S - 0.5) / len(text)
    words = tuple(
        Word(char, start_s + n * each_s, start_s + (n + 1) * each_s, 0.9)
        for n, char in enumerate(text)
    )
    return Segment(start_s, start_s + SEGMENT_S - 0.5, text, text, "zh", words, speaker=speaker)


def _tone(name: str, segments: int) -> io.BytesIO:
    """Audio that no other name has."""
    pitch_hz = 200 + sum(name.encode()) % 500
    samples = [
        int(2_000 * math.sin(2 * math.pi * pitch_hz * n / _RATE)) for n in range(_RATE // 10)
    ]
    tenth = struct.pack(f"<{len(samples)}h", *samples)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_RATE)
        out.writeframes(tenth * int(10 * SEGMENT_S) * segments)
    file.seek(0)
    return file
