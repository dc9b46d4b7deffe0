"""The seam of :mod:`lingting.engines.base` as bytes: what an engine host is sent and answers.

Nothing is rounded or left out on the way, so a clip gives the same hypothesis there and here::

    request   "LTC1" · length of the header, uint32 · header, JSON · float32 samples of all clips
    header    {"model", "lane", "options": [{…}], "clips": [[samples, options, speech_s, score]]}
    answer    {"hypotheses": [{…}], "batches": [n]}

Numbers are little-endian. Options and hypotheses hold only what differs from the default. The
header is filled with spaces, so that the samples begin at a multiple of four. ``batches`` counts
those that began since the clip came, its own included: 1 is the very next.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np

from lingting.engines.base import Clip, EngineFacts, Hypothesis, RecognizeOptions
from lingting.errors import (
    BusyError,
    EngineFailed,
    LingtingError,
    OptionInvalid,
    OptionUnknown,
    RequestError,
    by_code,
)
from lingting.transcript import ModelFacts, Word

CONTENT_TYPE = "application/x-lingting-clips"
LANES = ("live", "interactive", "bulk")
"""Whose turn it is: somebody listens now, somebody waits for a page, nobody waits."""
MAX_CLIPS = 1024

_MAGIC = b"LTC1"
_PREFIX = struct.Struct("<4sI")
_SAMPLE_BYTES = 4
_MOST_HEADER_BYTES = 4 << 20
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError)
"""What reading JSON of another shape raises."""
_GUARDS_OWN = "careful"  # asked for by the guard beside the engine, never over the wire


@dataclass(frozen=True, slots=True)
class Request:
    """Clips for one model, in one lane. ``model`` None is the host's default."""

    clips: tuple[Clip, ...]
    lane: str
    model: str | None = None

    @property
    def audio_s(self) -> float:
        return sum(clip.duration_s for clip in self.clips)


@dataclass(frozen=True, slots=True)
class Answer:
    """One hypothesis per clip, in order, and after how many batches each came."""

    hypotheses: tuple[Hypothesis, ...]
    batches: tuple[int, ...]


def check_lane(lane: str) -> str:
    """The lane; raises OptionInvalid for another word."""
    if lane not in LANES:
        raise OptionInvalid(f"lane is {str(lane)[:40]!r}; allowed are {', '.join(LANES)}.")
    return lane


# Requests -------------------------------------------------------------------------------------


def write_request(clips: Sequence[Clip], *, lane: str, model: str | None = None) -> bytes:
    """The body of a request."""
    known: dict[RecognizeOptions, int] = {}
    rows: list[list[Any]] = []
    parts: list[bytes] = [b""]
    for clip in clips:
        samples = np.ascontiguousarray(clip.samples, dtype="<f4")
        number = known.setdefault(clip.options, len(known))
        rows.append([len(samples), number, clip.speech_s, clip.speech_score])
        parts.append(samples.tobytes())
    header: dict[str, Any] = {"lane": lane, "options": list(map(options_dict, known))}
    if model is not None:
        header["model"] = model
    header["clips"] = rows
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _SAMPLE_BYTES)
    parts[0] = _PREFIX.pack(_MAGIC, len(text)) + text
    return b"".join(parts)


def read_request(body: bytearray) -> Request:
    """The clips of a body; their samples are views of it. Raises RequestError."""
    if len(body) < _PREFIX.size or body[:4] != _MAGIC:
        raise RequestError("The body is no Lingting clips, version 1.")
    _, length = _PREFIX.unpack_from(body)
    start = _PREFIX.size + length
    if length > _MOST_HEADER_BYTES or start > len(body) or start % _SAMPLE_BYTES:
        raise RequestError("The header of the clips has a wrong length.")
    try:
        header = json.loads(bytes(body[_PREFIX.size : start]))
        lane, model = header.get("lane", LANES[-1]), header.get("model")
        options = [read_options(one) for one in header["options"]]
        rows = [(int(n), options[int(o)], speech, score) for n, o, speech, score in header["clips"]]
    except UNREADABLE as exc:
        raise RequestError("The header of the clips cannot be read.") from exc
    if not 1 <= len(rows) <= MAX_CLIPS:
        raise RequestError(f"A request has {len(rows)} clips; allowed are 1 to {MAX_CLIPS}.")
    if min(row[0] for row in rows) < 0:
        raise RequestError("A clip has less than no samples.")
    if start + _SAMPLE_BYTES * sum(row[0] for row in rows) != len(body):
        raise RequestError("The clips are not as long as their header says.", "Send them again.")
    samples = np.frombuffer(body, "<f4", offset=start)
    clips, at = [], 0
    for count, option, speech, score in rows:
        part = samples[at : at + count]
        clips.append(Clip(part, option, _number(speech, "speech_s"), _number(score, "score")))
        at += count
    return Request(tuple(clips), check_lane(lane), _text(model, "model"))


_DEFAULTS: dict[str, Any] = {
    one.name: one.default for one in fields(RecognizeOptions) if one.name != _GUARDS_OWN
}
_ALLOWED: dict[str, tuple[type, ...]] = {
    "language": (str,),
    "words": (bool,),
    "itn": (bool,),
    "hotwords": (list,),
    "prompt": (str,),
    "beam_size": (int,),
    "temperature": (int, float),
    "translate": (bool,),
}
assert _DEFAULTS.keys() == _ALLOWED.keys()


def options_dict(options: RecognizeOptions) -> dict[str, Any]:
    """What differs from the defaults."""
    given = {name: getattr(options, name) for name in _DEFAULTS}
    return {name: value for name, value in given.items() if value != _DEFAULTS[name]}


def read_options(data: Mapping[str, Any]) -> RecognizeOptions:
    """Raises OptionUnknown or OptionInvalid; no value is repeated in a sentence."""
    for name, value in data.items():
        if name not in _ALLOWED:
            raise OptionUnknown(
                f"A clip has an option nobody knows; there are {', '.join(_ALLOWED)}."
            )
        is_bool = isinstance(value, bool)
        if not isinstance(value, _ALLOWED[name]) or is_bool is not (bool in _ALLOWED[name]):
            raise OptionInvalid(f"{name} has a value of another type.")
    values = dict(data)
    hotwords = values.get("hotwords", [])
    if not all(isinstance(one, str) for one in hotwords):
        raise OptionInvalid("hotwords has a value of another type.")
    return RecognizeOptions(**{**values, "hotwords": tuple(hotwords)})


def _number(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OptionInvalid(f"{name} has a value of another type.")
    return float(value)


def _text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise OptionInvalid(f"{name} has a value of another type.")
    return value


# Answers --------------------------------------------------------------------------------------

_PLAIN: tuple[tuple[str, Any], ...] = tuple(
    (one.name, None if one.default is MISSING else one.default)
    for one in fields(Hypothesis)
    if one.name not in ("words", "error")
)
_TUPLES = frozenset({"events", "notes"})


def write_answer(hypotheses: Sequence[Hypothesis], batches: Sequence[int]) -> bytes:
    """The body of an answer."""
    data = {"hypotheses": list(map(hypothesis_dict, hypotheses)), "batches": list(batches)}
    return json.dumps(data, separators=(",", ":")).encode()


def read_answer(body: bytes, clips: int) -> Answer:
    """Raises EngineFailed for what is no answer to so many clips."""
    try:
        data = json.loads(body)
        found = tuple(read_hypothesis(one) for one in data["hypotheses"])
        batches = tuple(int(one) for one in data["batches"])
    except UNREADABLE as exc:
        raise EngineFailed("The engine host's answer cannot be read.") from exc
    if len(found) != clips or len(batches) != clips:
        raise EngineFailed(f"{clips} clips were given, {len(found)} came back.")
    return Answer(found, batches)


def hypothesis_dict(hypothesis: Hypothesis) -> dict[str, Any]:
    """What differs from an empty hypothesis; words as [text, start, end, confidence]."""
    data = {}
    for name, default in _PLAIN:
        value = getattr(hypothesis, name)
        if value != default:
            data[name] = value
    if hypothesis.words:
        data["words"] = [[w.text, w.start_s, w.end_s, w.confidence] for w in hypothesis.words]
    if hypothesis.error is not None:
        data["error"] = error_dict(hypothesis.error)
    return data


def read_hypothesis(data: Mapping[str, Any]) -> Hypothesis:
    """Raises TypeError, ValueError or KeyError for what is none."""
    values = dict(data)
    for name in _TUPLES & values.keys():
        values[name] = tuple(values[name])
    values["words"] = tuple(Word(*one) for one in values.get("words", ()))
    if "error" in values:
        values["error"] = read_error(values["error"])
    return Hypothesis(**{"text": "", **values})


def error_dict(error: LingtingError) -> dict[str, Any]:
    """Code, sentence, next step, and when a busy host may be asked again."""
    data: dict[str, Any] = {
        "code": error.code,
        "sentence": error.sentence,
        "next_step": error.next_step,
    }
    if isinstance(error, BusyError):
        data["retry_after_s"] = error.retry_after_s
    return data


def read_error(
    data: Mapping[str, Any], unknown: type[LingtingError] = EngineFailed
) -> LingtingError:
    """The same class of error again; a code that nobody knows here is an ``unknown``."""
    kind = by_code(str(data["code"])) or unknown
    error = kind(str(data["sentence"]), str(data["next_step"]))
    if isinstance(error, BusyError):
        error.retry_after_s = float(data.get("retry_after_s", error.retry_after_s))
    return error


# Facts ----------------------------------------------------------------------------------------


def facts_dict(facts: EngineFacts) -> dict[str, Any]:
    """As JSON can hold it; languages are sorted, the model's facts lie beside the others."""
    data = {one.name: getattr(facts, one.name) for one in fields(EngineFacts)}
    data["model"] = {one.name: getattr(facts.model, one.name) for one in fields(ModelFacts)}
    data["languages"] = None if facts.languages is None else sorted(facts.languages)
    return data


def read_facts(data: Mapping[str, Any]) -> EngineFacts:
    """Raises EngineFailed for what are no facts. Names that a newer host adds are left out."""
    known = {one.name for one in fields(EngineFacts)}
    try:
        values = {name: value for name, value in data.items() if name in known}
        model = {one.name: values["model"].get(one.name) for one in fields(ModelFacts)}
        values["model"] = ModelFacts(**model)
        if values["languages"] is not None:
            values["languages"] = frozenset(values["languages"])
        return EngineFacts(**values)
    except (KeyError, TypeError, AttributeError) as exc:
        raise EngineFailed("The engine host's facts cannot be read.") from exc
