"""The fields of OpenAI's forms: bracketed and plain names, each read to what it means here.

Arrays come as ``name[]`` repeated (OpenAI's own clients), as ``name`` repeated, joined by commas or
as a JSON list (others); objects as ``name[key]`` or as JSON. Fields nobody knows are ignored, as
those clients expect; what is known and cannot be honoured is refused with the name of its field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from lingting.errors import LingtingError, ModelCannot, OptionInvalid
from lingting.jobs import JobOptions
from lingting.languages import parse_language
from lingting.server.openai.names import Names

JSON, TEXT, SRT, VTT = "json", "text", "srt", "vtt"
VERBOSE, DIARIZED = "verbose_json", "diarized_json"
FORMATS = (JSON, TEXT, SRT, VERBOSE, VTT, DIARIZED)
STREAMED = (JSON, TEXT, DIARIZED)
WORD, SEGMENT = "word", "segment"
_YES, _NO = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})
_NAME = re.compile(r"([^\[\]]+)(?:\[([^\[\]]*)\])?")
_NOT_IN_KEYWORDS = frozenset("<>\r\n")
_STRATEGY: Mapping[str, tuple[float, float]] = {
    "threshold": (0.0, 1.0),
    "prefix_padding_ms": (0.0, 60_000.0),
    "silence_duration_ms": (0.0, 60_000.0),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A transcription as it was asked for."""

    model: str
    """The name in the request; what runs is in ``options``."""
    options: JobOptions
    format: str = JSON
    granularities: frozenset[str] = frozenset({SEGMENT})
    is_streamed: bool = False
    is_kept: bool = True
    """False: the recording is removed when it was answered."""
    is_translated: bool = False
    is_whisper: bool = False
    """Asked for by OpenAI's old name, whose answers spell the language out."""


class Fields:
    """What a form has said. A sentence names the field, never its value."""

    def __init__(self) -> None:
        self._lists: dict[str, list[tuple[str, bool]]] = {}
        """Values, and whether each came as an element of an array."""
        self._objects: dict[str, dict[str, str]] = {}

    def add(self, name: str, value: str) -> None:
        """A field in the order of the form."""
        matched = _NAME.fullmatch(name)
        plain, key = (name, None) if matched is None else (matched[1], matched[2])
        if key:
            self._objects.setdefault(plain, {})[key] = value
        else:
            self._lists.setdefault(plain, []).append((value, key == ""))

    def has(self, name: str) -> bool:
        return any(value for value, _ in self._lists.get(name, ())) or name in self._objects

    def text(self, name: str) -> str | None:
        """The last value; None for none or an empty one."""
        given = self._lists.get(name)
        return given[-1][0] or None if given else None

    def many(self, name: str) -> list[str]:
        """Elements of an array; what came as ``name`` alone may hold several."""
        found = []
        for value, is_element in self._lists.get(name, ()):
            found += [value] if is_element else _several(value)
        return [one.strip() for one in found if one.strip()]

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        given = self.text(name) or default
        if given not in allowed:
            raise refused(name, f"{name} may be {', '.join(allowed)}.")
        return given

    def flag(self, name: str, default: bool) -> bool:
        given = (self.text(name) or "").strip().lower()
        if given and given not in _YES | _NO:
            raise refused(name, f"{name} may be true and false.")
        return given in _YES if given else default

    def number(self, name: str, low: float, high: float) -> float | None:
        given = self.text(name)
        return None if given is None else _number(name, given, low, high)

    def whole(self, name: str, low: int, high: int) -> int | None:
        found = self.number(name, low, high)
        if found is not None and found != int(found):
            raise refused(name, f"{name} is a whole number.")
        return None if found is None else int(found)

    def object(self, name: str) -> dict[str, Any] | str | None:
        """``name[key]`` fields, or a JSON object; a plain word as it is."""
        if name in self._objects:
            return dict(self._objects[name])
        given = (self.text(name) or "").strip()
        if not given.startswith("{"):
            return given.strip('"') or None
        try:
            found: dict[str, Any] = json.loads(given)
        except (ValueError, RecursionError) as exc:
            raise refused(name, f"{name} is no JSON object.") from exc
        return found


def read_transcription(fields: Fields, names: Names) -> Wanted:
    """Raises OptionInvalid, ModelUnknown, ModelCannot and whatever else its fields deserve."""
    model = _model(fields)
    with about("model"):
        runs = names.model(model)
    format = fields.choice("response_format", FORMATS, JSON)
    is_whisper = model == "whisper-1"
    granularities = _granularities(fields, format)
    is_streamed = fields.flag("stream", False) and not is_whisper  # OpenAI's ignores it there
    if is_streamed and format not in STREAMED:
        raise refused("stream", f"With stream, response_format may be {', '.join(STREAMED)}.")
    fields.number("temperature", 0.0, 1.0)
    _check_strategy(fields)
    _check_include(fields)
    channels = fields.choice("channels", ("mix", "split"), "mix")
    _check_speakers(fields, format, channels)
    options = _options(fields, model=runs, channels=channels, words=WORD in granularities)
    is_kept = fields.flag("store", True)
    return Wanted(
        model, options, format, granularities, is_streamed, is_kept, is_whisper=is_whisper
    )


def read_translation(fields: Fields, names: Names) -> Wanted:
    """As a transcription, in English; whether the model can is found out when it hears."""
    fields.choice("response_format", FORMATS[:-1], JSON)
    found = read_transcription(fields, names)
    return replace(
        found, options=replace(found.options, translate=True), is_streamed=False, is_translated=True
    )


def refused(name: str, sentence: str, next_step: str | None = None) -> OptionInvalid:
    """An error about a field."""
    error = OptionInvalid(sentence, next_step)
    error.param = name
    return error


@contextmanager
def about(name: str) -> Iterator[None]:
    """Errors that are raised inside are about this field."""
    try:
        yield
    except LingtingError as error:
        error.param = error.param or name
        raise


def _model(fields: Fields) -> str:
    found = fields.text("model")
    if found is None:
        raise refused("model", "The form names no model.", "See GET /v1/models.")
    return found


def _granularities(fields: Fields, format: str) -> frozenset[str]:
    name = "timestamp_granularities"
    found = frozenset(fields.many(name))
    if not found <= {WORD, SEGMENT}:
        raise refused(name, f"{name} may be word and segment.")
    if found and format != VERBOSE:
        raise refused(name, f"{name} needs response_format verbose_json.")
    return found or frozenset({SEGMENT})


def _check_strategy(fields: Fields) -> None:
    name = "chunking_strategy"
    given = fields.object(name)
    if given is None or given == "auto":
        return
    if isinstance(given, str) or given.get("type") != "server_vad":
        raise refused(name, f"{name} is auto, or an object of the type server_vad.")
    for key, (low, high) in _STRATEGY.items():
        if given.get(key) is not None:
            _number(f"{name}[{key}]", str(given[key]), low, high)


def _check_include(fields: Fields) -> None:
    asked = fields.many("include")
    if not set(asked) <= {"logprobs"}:
        raise refused("include", "include may be logprobs.")
    if asked:
        with about("include"):
            raise ModelCannot("No model here gives the probabilities of its tokens.")


def _check_speakers(fields: Fields, format: str, channels: str) -> None:
    for name in ("known_speaker_names", "known_speaker_references"):
        if fields.has(name):
            with about(name):
                raise ModelCannot("No model here knows voices again.")
    if format != DIARIZED:
        return
    if channels != "split":
        with about("response_format"):
            raise ModelCannot(
                "No model here tells speakers apart.",
                "A call with a speaker on each channel: send channels=split.",
            )
    if fields.has("prompt"):
        raise refused("prompt", "prompt does not go with diarized_json.")


def _options(fields: Fields, *, model: str, channels: str, words: bool) -> JobOptions:
    language = _language(fields)
    hotwords = (*_keywords(fields), *_hotwords(fields))
    beam_size = fields.whole("beam_size", 1, 20)
    script = fields.choice("script", ("simplified", "traditional", "as-is"), "simplified")
    itn = fields.flag("itn", True)
    prompt, glossary = fields.text("prompt"), fields.text("glossary")
    with about("prompt"):
        JobOptions(prompt=prompt)
    with about("keywords" if fields.has("keywords") else "hotwords"):
        return JobOptions(
            model=model, language=language, words=words, itn=itn, script=script,
            hotwords=tuple(dict.fromkeys(hotwords)), prompt=prompt, beam_size=beam_size,
            channels=channels, glossary=glossary,
        )  # fmt: skip


def _language(fields: Fields) -> str | None:
    """The one that is spoken; of several it is detected."""
    one, several = fields.text("language"), fields.many("languages")
    if one is not None and several:
        raise refused("languages", "language and languages do not go together.", "Send one.")
    with about("language"):
        found = parse_language(one)
    with about("languages"):
        listed = list(dict.fromkeys(parse_language(each) for each in several))
    return listed[0] if len(listed) == 1 else found


def _keywords(fields: Fields) -> list[str]:
    """OpenAI's: one a line, and the same characters refused."""
    found = fields.many("keywords")
    if any(_NOT_IN_KEYWORDS & set(one) for one in found):
        raise refused("keywords", "keywords may not hold <, > or ends of lines.")
    return found


def _hotwords(fields: Fields) -> list[str]:
    """Ours: repeated, one a line, or joined by commas."""
    lines = [line for one in fields.many("hotwords") for line in one.splitlines()]
    return [line.strip() for line in lines if line.strip()]


def _several(value: str) -> list[str]:
    if value.startswith("["):
        try:
            return [str(one) for one in json.loads(value)]
        except (ValueError, RecursionError):
            pass
    return value.split(",")


def _number(name: str, given: str, low: float, high: float) -> float:
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not low <= found <= high:
        raise refused(name, f"{name} is a number from {low:g} to {high:g}.")
    return found
