"""A clip as the fields of OpenAI's transcription request, and its answer as a hypothesis.

Request: ``file``, ``model``, ``response_format``, ``timestamp_granularities[]``, ``language``,
``prompt``, ``temperature`` as OpenAI documents them; ``hotwords`` (one string, as vLLM and speaches
take it) and ``itn`` are extensions, sent only where they are asked for.

Answer: ``text``; with ``verbose_json`` also ``language`` (a name or a code), ``segments`` and
top-level ``words``, which some servers nest in the segments.
"""

from __future__ import annotations

import io
import json
import math
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import SAMPLE_RATE_HZ, Clip, Hypothesis, RecognizeOptions
from lingting.engines.piece_times import Piece, spread_words, words_of_pieces
from lingting.errors import EngineFailed, LanguageUnknown
from lingting.languages import parse_language
from lingting.transcript import Word

VERBOSE, WORDS, HOTWORDS, PROMPT, ITN = "verbose_json", "words", "hotwords", "prompt", "itn"
LANGUAGE = "language"
# What servers call an ability when they refuse it; words first, because they need verbose_json.
ABILITY_NAMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (WORDS, ("timestamp_granularities", "timestamp granularities", "word timestamps")),
    (VERBOSE, ("verbose_json", "response_format", "response format")),
    (HOTWORDS, ("hotwords", "hotword")),
    (ITN, ("itn",)),
    (PROMPT, ("prompt",)),
    (LANGUAGE, ("language",)),
)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of one request and the abilities of the server that they use."""

    fields: Mapping[str, str | list[str]]
    uses: frozenset[str]
    notes: tuple[str, ...]


def wav_bytes(samples: NDArray[np.float32]) -> bytes:
    """16-bit mono WAV at 16 kHz: 32 kB a second, and every server reads it."""
    scaled = np.clip(np.round(samples.astype(np.float64) * 32_767), -32_768, 32_767)
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(scaled.astype("<i2").tobytes())
    return data.getvalue()


def form_of(options: RecognizeOptions, model: str, lacks: frozenset[str]) -> Form:
    """What is asked for, less what the server has refused before; each loss is a note."""
    fields: dict[str, str | list[str]] = {"model": model, "response_format": "json"}
    uses: set[str] = set()
    notes: list[str] = []
    if VERBOSE not in lacks:
        fields["response_format"] = "verbose_json"
        uses.add(VERBOSE)
    if options.words and not lacks & {WORDS, VERBOSE}:
        fields["timestamp_granularities[]"] = ["word", "segment"]
        uses.add(WORDS)
    elif options.words:
        notes.append("words.unsupported")
    if options.language is not None:
        fields["language"] = options.language
        uses.add(LANGUAGE)
    prompt = options.prompt or ""
    if options.hotwords and HOTWORDS not in lacks:
        fields["hotwords"] = ", ".join(options.hotwords)
        uses.add(HOTWORDS)
    elif options.hotwords:  # the next best: what the speaker is likely to say
        prompt = " ".join(part for part in (prompt, ", ".join(options.hotwords)) if part)
        notes.append("hotwords.unsupported" if PROMPT in lacks else "hotwords.as_prompt")
    if prompt and PROMPT not in lacks:
        fields["prompt"] = prompt
        uses.add(PROMPT)
    elif options.prompt:
        notes.append("prompt.unsupported")
    if not options.itn and ITN not in lacks:
        fields["itn"] = "false"
        uses.add(ITN)
    elif not options.itn:
        notes.append("itn.unsupported")
    if options.temperature > 0:
        fields["temperature"] = f"{options.temperature:g}"
    return Form(fields, frozenset(uses), tuple(notes))


def refused_ability(body: bytes, uses: frozenset[str]) -> str | None:
    """Which ability in use an error's body names; None when it is about something else.

    OpenAI names it in ``error.param``, FastAPI in ``detail[].loc``, others in a sentence.
    """
    data = _json(body)
    for text in (*_named_places(data), *_sentences(data)):
        for ability, names in ABILITY_NAMES:
            if ability in uses and any(name in text.lower() for name in names):
                return ability
    return None


def hypothesis_of(body: bytes, clip: Clip, notes: tuple[str, ...]) -> Hypothesis:
    """Raises EngineFailed for an answer that is no transcription."""
    data = _json(body)
    if not isinstance(data, dict) or not isinstance(data.get("text"), str):
        raise EngineFailed(
            "The server's answer is no transcription.", "Check that the address is of one."
        )
    text = _whole(data["text"]).strip()
    segments = [one for one in _list(data.get("segments")) if isinstance(one, dict)]
    options = clip.options
    words: tuple[Word, ...] = ()
    source = "server"
    if options.words and text:
        words = words_of_pieces(text, list(_pieces(data, segments)), clip.duration_s)
        if words:
            notes = tuple(note for note in notes if note != "words.unsupported")
        else:
            words, source = spread_words(text, clip.samples), "spread"
            if "words.unsupported" not in notes:
                notes += ("words.missing",)
    score = _mean(segments, "avg_logprob")
    return Hypothesis(
        text=text,
        language=options.language or _language(data),
        words=words,
        words_source=source if words else None,
        # Servers that do not compute a figure send 0, which would be certainty.
        confidence=math.exp(score) if score is not None and score < 0 else None,
        no_speech=_probability(_mean(segments, "no_speech_prob")),
        prompt=options.prompt or "",
        notes=notes,
    )


def _whole(text: str) -> str:
    """JSON can spell halves of characters, which nothing can write down."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _named_places(data: Any) -> Iterator[str]:
    if not isinstance(data, dict):
        return
    error = data.get("error")
    if isinstance(error, dict) and isinstance(error.get("param"), str):
        yield error["param"]
    for one in _list(data.get("detail")):
        if isinstance(one, dict):
            yield from (part for part in _list(one.get("loc")) if isinstance(part, str))


def _sentences(data: Any) -> Iterator[str]:
    if not isinstance(data, dict):
        return
    error = data.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    for one in (inner, data.get("message"), data.get("detail")):
        if isinstance(one, str):
            yield one[:2_000]


def _language(data: Mapping[str, Any]) -> str | None:
    given = data.get("language")
    if given is None:
        first = next(iter(_list(data.get("languages"))), None)
        given = first.get("code") if isinstance(first, dict) else None
    try:
        return parse_language(given) if isinstance(given, str) else None
    except LanguageUnknown:
        return None


def _pieces(data: Mapping[str, Any], segments: list[dict[str, Any]]) -> Iterator[Piece]:
    words = _list(data.get("words")) or [w for one in segments for w in _list(one.get("words"))]
    for word in words:
        if isinstance(word, dict):
            text = word.get("word", word.get("text"))
            begin, end = _number(word.get("start")), _number(word.get("end"))
            if isinstance(text, str) and begin is not None and end is not None:
                yield text, begin, end


def _mean(segments: list[dict[str, Any]], name: str) -> float | None:
    """Weighted by the segments' lengths; None when one has no such number."""
    values = [_number(one.get(name)) for one in segments]
    if not values or any(value is None for value in values):
        return None
    spans = [(_number(one.get("end")) or 0) - (_number(one.get("start")) or 0) for one in segments]
    weights = [max(span, 1e-3) for span in spans]
    total = sum(float(v or 0) * w for v, w in zip(values, weights, strict=True))
    return total / sum(weights)


def _probability(value: float | None) -> float | None:
    return value if value is not None and 0 < value <= 1 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
