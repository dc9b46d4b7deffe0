"""Transcripts to rows and back, without losing anything: what is read equals what was written.

Two things cannot be stored and are replaced: the character U+0000, which Postgres refuses, and
halves of surrogate pairs, which are no text. Both become U+FFFD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from lingting.joining import join
from lingting.store.words import StoredWords
from lingting.transcript import Edit, Failure, Segment, Transcript, Word

EXCERPT_CHARS = 120
_EXCERPT_SEGMENTS = 20
SEGMENT_COLUMNS = ("start_s", "end_s", "text", "spoken", "language", "speaker", "channel")
_DETAILS, _WORDS = len(SEGMENT_COLUMNS), len(SEGMENT_COLUMNS) + 1
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with U+FFFD for what no database holds."""
    return _UNSTORABLE.sub("\ufffd", text)


def storable_name(name: str) -> str:
    """A file's name; bytes that are no UTF-8 are written out, ``\\xff``, and stay readable."""
    return storable(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def storable_segment(segment: Segment) -> Segment:
    """The segment that will be read back."""
    words = tuple(
        replace(word, text=storable(word.text)) if _UNSTORABLE.search(word.text) else word
        for word in segment.words
    )
    return replace(
        segment,
        text=storable(segment.text),
        spoken=storable(segment.spoken),
        speaker=None if segment.speaker is None else storable(segment.speaker),
        words=words,
    )


def segment_values(segment: Segment, transcript_id: int) -> dict[str, Any]:
    """Column values of a ``segments`` row."""
    rare = {
        "words_source": segment.words_source,
        "edits": [list(asdict(edit).values()) for edit in segment.edits],
        "confidence": segment.confidence,
        "emotion": segment.emotion,
        "events": list(segment.events),
        "notes": list(segment.notes),
        "failure": asdict(segment.failure) if segment.failure else None,
    }
    values = {name: getattr(segment, name) for name in SEGMENT_COLUMNS}
    details = {name: value for name, value in rare.items() if value not in (None, [])}
    return {**values, "details": details, "transcript_id": transcript_id}


def segments_of(rows: Sequence[Sequence[Any]]) -> list[Segment]:
    """Segments of rows ``(*columns of SEGMENT_COLUMNS, details, words)``, both JSON as text.

    One parse for all details: five thousand small ones take several times as long.
    """
    all_details = json.loads(f"[{','.join(row[_DETAILS] for row in rows)}]")
    return [
        _segment(row, details) for row, details in zip(rows, all_details, strict=True)
    ]


def _segment(row: Sequence[Any], details: Mapping[str, Any]) -> Segment:
    start_s, end_s, text, spoken, language, speaker, channel = row[:_DETAILS]
    get = details.get
    edits, failure = get("edits"), get("failure")
    return Segment(
        start_s,
        end_s,
        text,
        spoken,
        language,
        _words(row[_WORDS]),
        get("words_source"),
        tuple([Edit(*one) for one in edits]) if edits else (),
        get("confidence"),
        speaker,
        channel,
        get("emotion"),
        tuple(get("events", ())),
        tuple(get("notes", ())),
        Failure(**failure) if failure else None,
    )


def _words(stored: str | None) -> tuple[Word, ...]:
    return StoredWords.of(stored) if stored else ()


def facts_of(transcript: Transcript) -> dict[str, Any]:
    """Everything but the segments, in the transcript's own versioned JSON form."""
    facts = replace(transcript, segments=()).as_dict()
    del facts["text"], facts["segments"]
    return facts


def transcript_of(facts: Mapping[str, Any], segments: Iterable[Segment]) -> Transcript:
    return replace(Transcript.from_dict({**facts, "segments": ()}), segments=tuple(segments))


def excerpt_of(transcript: Transcript) -> str:
    """How it begins."""
    return join(one.text for one in transcript.segments[:_EXCERPT_SEGMENTS])[:EXCERPT_CHARS]
