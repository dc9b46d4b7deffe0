"""A transcript in each of OpenAI's response formats."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from typing import Any

from lingting.languages import LANGUAGES
from lingting.server.openai.fields import DIARIZED, SEGMENT, SRT, TEXT, VERBOSE, VTT, WORD, Wanted
from lingting.text.edits import Written
from lingting.text.words import written_words
from lingting.text.writers import FORMATS, write
from lingting.transcript import Segment, Transcript, Word

_ENGLISH = {one.code: one.english.lower() for one in LANGUAGES}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_JSON = "application/json"


def answer_of(wanted: Wanted, transcript: Transcript) -> tuple[str, bytes]:
    """Content type and body."""
    if wanted.format == TEXT:
        return "text/plain; charset=utf-8", f"{transcript.text}\n".encode("utf-8", "replace")
    if wanted.format in (SRT, VTT):
        return FORMATS[wanted.format].mime, write(transcript, wanted.format)
    data: dict[str, Any] = {"text": transcript.text}
    if wanted.format == VERBOSE:
        data = _verbose(wanted, transcript)
    elif wanted.format == DIARIZED:
        data = _diarized(transcript)
    else:
        data["languages"] = languages_of(transcript)
    failures = list(_failures(transcript))
    if failures:
        data["failures"] = failures
    data["usage"] = usage_of(transcript)
    return _JSON, json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")


def usage_of(transcript: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(transcript.duration_s)}


def languages_of(transcript: Transcript) -> list[dict[str, str]]:
    """What was heard, the main one first; empty when no language could be told."""
    heard = [transcript.language, *(one.language for one in transcript.segments if one.text)]
    return [{"code": code} for code in dict.fromkeys(heard) if code]


def diarized_segments(segments: Iterator[Segment] | tuple[Segment, ...]) -> list[dict[str, Any]]:
    """With a speaker each: the name a person gave, else a letter for the channel."""
    return [
        {
            "type": "transcript.text.segment",
            "id": f"seg_{at:03d}",
            "start": one.start_s,
            "end": one.end_s,
            "speaker": speaker_of(one),
            "text": one.text,
        }
        for at, one in enumerate(one for one in segments if one.text)
    ]


def speaker_of(segment: Segment) -> str:
    return segment.speaker or _LETTERS[(segment.channel or 0) % len(_LETTERS)]


def _verbose(wanted: Wanted, transcript: Transcript) -> dict[str, Any]:
    language = transcript.language or ""
    data: dict[str, Any] = {
        "task": "translate" if wanted.is_translated else "transcribe",
        "language": _ENGLISH.get(language, language) if wanted.is_whisper else language,
        "duration": transcript.duration_s,
        "text": transcript.text,
    }
    worded = [one for one in transcript.segments if one.text]
    if SEGMENT in wanted.granularities:
        data["segments"] = [_segment(at, one) for at, one in enumerate(worded)]
    if WORD in wanted.granularities:
        data["words"] = [
            {"word": word.text, "start": word.start_s, "end": word.end_s}
            for one in worded
            for word in _words(one)
        ]
    return data


def _segment(number: int, one: Segment) -> dict[str, Any]:
    """What our engines do not tell is empty or 0, as other servers write it."""
    text = one.text.encode("utf-8", "replace")
    return {
        "id": number,
        "seek": round(one.start_s * 100),
        "start": one.start_s,
        "end": one.end_s,
        "text": one.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(math.log(one.confidence), 4) if one.confidence else 0.0,
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 3),
        "no_speech_prob": 0.0,
    }


def _words(one: Segment) -> tuple[Word, ...]:
    """Of the written text: 1234元 when 一千二百三十四元 was said."""
    return written_words(one.spoken, one.words, Written(one.text, one.edits))


def _diarized(transcript: Transcript) -> dict[str, Any]:
    return {
        "task": "transcribe",
        "duration": transcript.duration_s,
        "text": transcript.text,
        "segments": diarized_segments(transcript.segments),
    }


def _failures(transcript: Transcript) -> Iterator[dict[str, Any]]:
    """Gaps: speech that an engine failed on. OpenAI has no word for that."""
    for one in transcript.segments:
        if one.failure is not None:
            yield {
                "start": one.start_s,
                "end": one.end_s,
                "code": one.failure.code,
                "message": one.failure.message,
            }
