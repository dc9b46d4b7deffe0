"""Transcripts to rows and back, without losing anything: what is read equals what was written.

Two things cannot be stored and are replaced: the character U+0000, which Postgres refuses, and
halves of surrogate pairs, which are no text. Both become U+FFFD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from lingting.joining import join
from lingting.store.words import stored_words
from lingting.transcript import Edit, Failure, Segment, Transcript

EXCERPT_CHARS = 120
EXCERPT_SEGMENTS = 20
SEGMENT_COLUMNS = ("start_s", "end_s", "text", "spoken", "language", "speaker", "channel")
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


def segments_of(rows: Sequence[Sequence[Any]], words: Mapping[int, str]) -> dict[int, Segment]:
    """Segments by id, of rows ``(id, *SEGMENT_COLUMNS, details)``; JSON comes as text.

    Opening a transcript of 5,000 segments is this function and the query. So all details are
    parsed at once, and the fields of the frozen values are set directly: what is stored was
    checked when it was written, and ``__init__`` takes twice as long.
    """
    parsed = json.loads(f"[{','.join([row[-1] for row in rows])}]")
    new = object.__new__
    made = {}
    for (id, start_s, end_s, text, spoken, language, speaker, channel, _), details in zip(
        rows, parsed, strict=True
    ):
        segment = new(Segment)
        _start_s(segment, start_s)
        _end_s(segment, end_s)
        _text(segment, text)
        _spoken(segment, spoken)
        _language(segment, language)
        _speaker(segment, speaker)
        _channel(segment, channel)
        _words(segment, stored_words(words[id]) if id in words else ())
        get = details.get
        _words_source(segment, get("words_source"))
        _edits(segment, tuple([Edit(*one) for one in get("edits", ())]))
        _confidence(segment, get("confidence"))
        _emotion(segment, get("emotion"))
        _events(segment, tuple(get("events", ())))
        _notes(segment, tuple(get("notes", ())))
        failure = get("failure")
        _failure(segment, Failure(**failure) if failure else None)
        made[id] = segment
    return made


(
    _start_s, _end_s, _text, _spoken, _language, _words, _words_source, _edits, _confidence,
    _speaker, _channel, _emotion, _events, _notes, _failure,
) = (vars(Segment)[field.name].__set__ for field in fields(Segment))  # fmt: skip


def facts_of(transcript: Transcript) -> dict[str, Any]:
    """Everything but the segments, in the transcript's own versioned JSON form."""
    facts = replace(transcript, segments=()).as_dict()
    del facts["text"], facts["segments"]
    return facts


def transcript_of(facts: Mapping[str, Any], segments: Iterable[Segment]) -> Transcript:
    return replace(Transcript.from_dict({**facts, "segments": ()}), segments=tuple(segments))


def excerpt_of(transcript: Transcript) -> str:
    """How it begins."""
    return join(one.text for one in transcript.segments[:EXCERPT_SEGMENTS])[:EXCERPT_CHARS]
