"""OpenAI's transcription form: multipart in, a request of one clip out; and the answers to it.

Fields as OpenAI documents them, arrays as ``name[]`` or ``name``. Ours besides: ``hotwords``,
``itn``, ``beam_size``, ``lane``, ``speech_s``, ``speech_score``. Fields nobody knows are ignored,
as OpenAI's clients expect; values that cannot be honoured are refused with the field's name.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from lingting.engines.base import Clip, Hypothesis, RecognizeOptions
from lingting.engines.envelope import Request, check_lane, error_dict, hypothesis_dict
from lingting.errors import (
    AudioError,
    LanguageUnknown,
    LingtingError,
    ModelUnknown,
    OptionInvalid,
    RequestError,
)
from lingting.host.wav import read_wav
from lingting.languages import LANGUAGES, parse_language

FORMATS = ("json", "text", "verbose_json")
INTERACTIVE = "interactive"
_MOST_FIELDS = 200
_MOST_FIELD_BYTES = 64 << 10
_YES, _NO = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})
_ENGLISH = {one.code: one.english.lower() for one in LANGUAGES}


@dataclass(frozen=True, slots=True)
class Form:
    """One transcription as it was asked for."""

    request: Request
    format: str
    granularities: frozenset[str]
    is_whisper: bool
    """Asked for by OpenAI's old name, whose answers spell the language out."""


@dataclass(slots=True)
class _Parts:
    """The fields of a form while its bytes are read."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    file: bytes | None = None
    _header: list[bytes] = field(default_factory=lambda: [b"", b""])
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _data: bytearray = field(default_factory=bytearray)
    _count: int = 0

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, a, b: self._grow(0, data[a:b]),
            "on_header_value": lambda data, a, b: self._grow(1, data[a:b]),
            "on_header_end": self._header_done,
            "on_part_data": lambda data, a, b: self._data.extend(data[a:b]),
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._headers = {}
        self._data = bytearray()
        self._count += 1
        if self._count > _MOST_FIELDS:
            raise RequestError(f"The form has more than {_MOST_FIELDS} fields.")

    def _grow(self, which: int, data: bytes) -> None:
        self._header[which] += data

    def _header_done(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name == "file":
            self.file = bytes(self._data)
        elif len(self._data) <= _MOST_FIELD_BYTES:
            value = self._data.decode("utf-8", "replace")
            self.fields.setdefault(name.removesuffix("[]"), []).append(value)
        else:
            raise RequestError(f"A field of the form is longer than {_MOST_FIELD_BYTES} bytes.")


def read_form(content_type: str, body: bytes) -> Form:
    """Raises a RequestError."""
    parts = _parts(content_type, body)
    one = _Fields(parts.fields)
    if parts.file is None:
        raise OptionInvalid("The form has no file.", "Send a WAV as the field file.")
    format_ = one.choice("response_format", FORMATS, "json")
    granularities = frozenset(one.many("timestamp_granularities"))
    if not granularities <= {"word", "segment"}:
        raise OptionInvalid("timestamp_granularities may be word and segment.")
    has_words = "word" in granularities and format_ == "verbose_json"
    options = RecognizeOptions(
        language=one.language(),
        words=has_words,
        itn=one.flag("itn", True),
        hotwords=(*one.many("hotwords"), *one.many("keywords")),
        prompt=one.text("prompt"),
        beam_size=one.integer("beam_size"),
        temperature=one.number("temperature") or 0.0,
    )
    clip = Clip(read_wav(parts.file), options, one.number("speech_s"), one.number("speech_score"))
    model = one.text("model")
    lane = check_lane(one.text("lane") or INTERACTIVE)
    return Form(
        Request((clip,), lane, model), format_, granularities, is_whisper=model == "whisper-1"
    )


def _parts(content_type: str, body: bytes) -> _Parts:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise RequestError(
            "The body is no multipart form.", "Send OpenAI's form, or clips of a Lingting client."
        )
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as exc:
        raise RequestError("The multipart form is damaged.", "Send it again.") from exc
    return parts


class _Fields:
    """Typed looks at the fields; a sentence names the field, never its value."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str) -> str | None:
        given = self._fields.get(name)
        return given[-1] if given else None

    def many(self, name: str) -> list[str]:
        """Repeated, joined by commas, or a JSON list; without empty ones."""
        return [one for given in self._fields.get(name, []) for one in _split(given)]

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        given = self.text(name) or default
        if given not in allowed:
            raise OptionInvalid(f"{name} of a clip may be {', '.join(allowed)}.")
        return given

    def flag(self, name: str, default: bool) -> bool:
        given = (self.text(name) or "").strip().lower()
        if given in _YES | _NO:
            return given in _YES
        if given:
            raise OptionInvalid(f"{name} may be true and false.")
        return default

    def number(self, name: str) -> float | None:
        given = (self.text(name) or "").strip()
        try:
            value = float(given) if given else None
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            raise OptionInvalid(f"{name} is no number.")
        return value

    def integer(self, name: str) -> int | None:
        value = self.number(name)
        if value is not None and value != int(value):
            raise OptionInvalid(f"{name} is no whole number.")
        return None if value is None else int(value)

    def language(self) -> str | None:
        given = self.text("language")
        if not given:
            several = self.many("languages")
            given = several[0] if len(several) == 1 else None  # of several, it is detected
        try:
            return parse_language(given)
        except LanguageUnknown:
            raise OptionInvalid("language is no ISO code or name of a language.") from None


def _split(given: str) -> list[str]:
    if given.startswith("["):
        try:
            return [str(one) for one in json.loads(given)]
        except (ValueError, RecursionError):
            pass
    return [one.strip() for one in given.split(",") if one.strip()]


# Answers --------------------------------------------------------------------------------------


def answer_of(form: Form, heard: Hypothesis) -> tuple[bytes, bytes]:
    """Content type and body. A hypothesis with an error is not for here."""
    if form.format == "text":
        return b"text/plain; charset=utf-8", f"{heard.text}\n".encode("utf-8", "replace")
    data: dict[str, Any] = {"text": heard.text}
    if form.format == "verbose_json":
        data = _verbose(form, heard)
    seconds = math.ceil(form.request.audio_s)
    data["usage"] = {"type": "duration", "seconds": seconds}
    return b"application/json", json.dumps(data).encode()


def _verbose(form: Form, heard: Hypothesis) -> dict[str, Any]:
    language = heard.language or ""
    duration_s = round(form.request.audio_s, 3)
    data: dict[str, Any] = {
        "task": "transcribe",
        "language": _ENGLISH.get(language, language) if form.is_whisper else language,
        "duration": duration_s,
        "text": heard.text,
        "lingting": hypothesis_dict(heard),
    }
    if form.granularities != {"word"}:
        data["segments"] = [_segment(heard, duration_s)] if heard.text else []
    if "word" in form.granularities:
        data["words"] = [
            {"word": one.text, "start": one.start_s, "end": one.end_s} for one in heard.words
        ]
    return data


def _segment(heard: Hypothesis, duration_s: float) -> dict[str, Any]:
    """One for the clip; what the engine does not compute is 0, as other servers write it."""
    text = heard.text.encode()
    return {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": duration_s,
        "text": heard.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": math.log(heard.confidence) if heard.confidence else 0.0,
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 3),
        "no_speech_prob": heard.no_speech or 0.0,
    }


_OPENAI_TYPES = {401: "invalid_request_error", 429: "rate_limit_error"}
_OPENAI_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def error_body(error: LingtingError, status: int) -> bytes:
    """OpenAI's shape, and ours beside it for a Lingting caller."""
    usual = "server_error" if status >= 500 else "invalid_request_error"
    code = _OPENAI_CODES.get(status, error.code)
    if isinstance(error, ModelUnknown):
        code = "model_not_found"
    data = {
        "error": {
            "message": str(error),
            "type": _OPENAI_TYPES.get(status, usual),
            "param": "file" if isinstance(error, AudioError) else None,
            "code": code,
        },
        "lingting_error": error_dict(error),
    }
    return json.dumps(data).encode()
