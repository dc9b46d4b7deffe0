"""What recognition yields: plain frozen values, seconds in the original file.

Text has two layers that stay linked. ``spoken`` is what the recogniser heard, ``text`` is the
written form after inverse text normalisation, hotword repair and script conversion; ``edits`` maps
spans of one onto spans of the other, so a word's time survives 一千二百三十四元 → 1234元.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lingting.joining import join

SCHEMA = "lingting.transcript/1"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, seconds, ``0 <= start_s <= end_s``."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.start_s <= self.end_s:
            raise ValueError(f"span must be ordered and not negative: {self.start_s}..{self.end_s}")

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Word:
    """One word (one character in Chinese and Japanese) of the spoken text with its time.

    ``text`` has no surrounding space; ``confidence`` is a probability in [0, 1] or unknown.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """``spoken[spoken_start:spoken_end]`` became ``text[text_start:text_end]``.

    ``kind`` names the step that changed it: ``itn``, ``script``, ``hotword``. Whatever lies between
    two edits is equal in both layers.
    """

    spoken_start: int
    spoken_end: int
    text_start: int
    text_end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a segment or a recording has no text: an error's code and sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One utterance. ``words`` belong to ``spoken``; ``notes`` are what the guard decided."""

    start_s: float
    end_s: float
    text: str
    spoken: str
    language: str | None = None
    words: tuple[Word, ...] = ()
    words_source: str | None = None
    """Where the times come from: ``attention``, ``ctc``, ``toolkit``, ``server`` or ``spread``
    (see docs/models.md)."""
    edits: tuple[Edit, ...] = ()
    confidence: float | None = None
    speaker: str | None = None
    channel: int | None = None
    emotion: str | None = None
    """What the model heard in the voice, such as ``happy``; None when it does not say."""
    events: tuple[str, ...] = ()
    """Sounds beside speech, such as ``laughter`` or ``music``."""
    notes: tuple[str, ...] = ()
    failure: Failure | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.start_s <= self.end_s:
            raise ValueError(f"segment must be ordered: {self.start_s}..{self.end_s}")

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Damage:
    """What was lost while decoding. Zero everywhere for a healthy file."""

    frames: int = 0
    """Media packets or frames that could not be decoded."""
    truncated: bool = False
    """The container promised more than the file holds."""
    missing_s: float = 0.0
    """Seconds promised by the container and not found."""
    invalid_samples: int = 0
    """Samples that were NaN or infinite and became silence."""

    def __bool__(self) -> bool:
        return bool(self.frames or self.truncated or self.invalid_samples)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Which weights made the text."""

    id: str
    sha256: str | None = None
    compute: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """The whole result for one recording."""

    segments: tuple[Segment, ...]
    duration_s: float
    language: str | None = None
    speech_s: float = 0.0
    sample_rate_hz: int | None = None
    channels: int | None = None
    damage: Damage = field(default_factory=Damage)
    model: ModelFacts | None = None
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Written text of all segments, joined as their scripts ask."""
        return join(segment.text for segment in self.segments)

    @property
    def spoken(self) -> str:
        """Spoken text of all segments."""
        return join(segment.spoken for segment in self.segments)

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(s.failure for s in self.segments if s.failure is not None)

    def as_dict(self) -> dict[str, Any]:
        """The versioned JSON form; ``from_dict`` reads it back to an equal value."""
        return {"schema": SCHEMA, "text": self.text, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Transcript:
        """Raises ``ValueError`` for another schema."""
        if data.get("schema") != SCHEMA:
            raise ValueError(f"schema is {data.get('schema')!r}, expected {SCHEMA!r}")
        values = {k: v for k, v in data.items() if k not in {"schema", "text"}}
        values["segments"] = tuple(segment_from(row) for row in values["segments"])
        values["damage"] = Damage(**values["damage"])
        values["model"] = ModelFacts(**values["model"]) if values.get("model") else None
        values["notes"] = tuple(values.get("notes", ()))
        return cls(**values)


def segment_from(row: Mapping[str, Any]) -> Segment:
    """From its JSON form."""
    values = dict(row)
    values["words"] = tuple(Word(**w) for w in values.get("words", ()))
    values["edits"] = tuple(Edit(**e) for e in values.get("edits", ()))
    values["events"] = tuple(values.get("events", ()))
    values["notes"] = tuple(values.get("notes", ()))
    values["failure"] = Failure(**values["failure"]) if values.get("failure") else None
    return Segment(**values)


def shift(segment: Segment, offset_s: float) -> Segment:
    """The same segment, ``offset_s`` later."""
    words = tuple(
        replace(w, start_s=w.start_s + offset_s, end_s=w.end_s + offset_s) for w in segment.words
    )
    return replace(
        segment, start_s=segment.start_s + offset_s, end_s=segment.end_s + offset_s, words=words
    )
