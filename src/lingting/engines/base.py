"""The one seam between recognition and everything else.

An engine takes a list of clips and gives back exactly one hypothesis per clip, in order. A clip
that fails carries its error on its hypothesis; its neighbours are not disturbed. Times are seconds
from the start of the clip. An engine may batch as it likes; it never splits, drops or reorders
clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lingting.errors import LingtingError, OptionInvalid
from lingting.transcript import ModelFacts, Word

SAMPLE_RATE_HZ = 16_000
MAX_CLIP_S = 30.0
BATCH_S = 240.0
"""Seconds of audio that keep any CPU busy for one call."""


@dataclass(frozen=True, slots=True)
class RecognizeOptions:
    """What the caller wants of a clip. One object is usually shared by many clips."""

    language: str | None = None
    """ISO code as in :mod:`lingting.languages`; None asks the engine to detect it."""
    words: bool = False
    """Give word times."""
    itn: bool = True
    """Models that write numbers and punctuation by themselves may do so."""
    hotwords: tuple[str, ...] = ()
    prompt: str | None = None
    """Free context; None lets the engine use its own default for the language, "" means none."""
    beam_size: int | None = None
    """Search width; None is the engine's default."""
    temperature: float = 0.0
    """0 decodes deterministically."""
    translate: bool = False
    """Write English, whatever is spoken; for engines that have it. Words have no times then."""
    careful: bool = False
    """Spend more time for a safer result; the guard asks for it after a doubtful one."""

    def __post_init__(self) -> None:
        if self.beam_size is not None and not 1 <= self.beam_size <= 20:
            raise OptionInvalid(f"beam_size is {self.beam_size}; allowed are 1 to 20.")
        if not 0.0 <= self.temperature <= 1.0:
            raise OptionInvalid(f"temperature is {self.temperature}; allowed are 0 to 1.")


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """At most 30 s of speech: mono float32 samples ``[n]`` at 16 kHz in [-1, 1]."""

    samples: NDArray[np.float32]
    options: RecognizeOptions = field(default_factory=RecognizeOptions)
    speech_s: float | None = None
    """Seconds of speech a detector found in it; None when nobody looked."""
    speech_score: float | None = None
    """The detector's mean probability of speech over those seconds."""

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the engine heard in one clip."""

    text: str
    language: str | None = None
    """ISO code, given or detected; None when the engine cannot tell."""
    language_confidence: float | None = None
    """Probability of a detected language; None when it was given."""
    words: tuple[Word, ...] = ()
    """Seconds from the start of the clip, monotonic, inside the clip."""
    words_source: str | None = None
    """Where the times come from: ``attention``, ``ctc``, ``spread``, ``server`` or ``toolkit``;
    docs/models.md says what each is worth."""
    emotion: str | None = None
    """Lower-case English name of what the voice sounds like, where the model says so."""
    events: tuple[str, ...] = ()
    """Lower-case English names of sounds beside speech."""
    confidence: float | None = None
    """Geometric mean probability of the tokens, in [0, 1]."""
    no_speech: float | None = None
    """Probability that the clip holds no speech, where the model says so."""
    is_cut: bool = False
    """The decoder ran into its length limit: text is probably missing or looping."""
    prompt: str = ""
    """What the decoder was told came before, without hotwords; an engine's own words included."""
    notes: tuple[str, ...] = ()
    error: LingtingError | None = None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine is and can do; shown by the CLI and kept on every transcript."""

    model: ModelFacts
    languages: frozenset[str] | None
    """ISO codes it recognises; None when unlimited or unknown."""
    has_words: bool
    has_detection: bool
    """Can tell the language by itself."""
    writes_numbers: bool = False
    """Writes digits and punctuation by itself, so ITN has less to do."""
    has_translation: bool = False
    """Can write in English what is spoken in another language."""
    has_careful: bool = False
    """Hears a ``careful`` clip in another way; without it the same request gives the same text."""
    batch_s: float = BATCH_S
    """Seconds of audio one call should bring, so that the device is never short of work."""
    device: str = "cpu"
    callers: int = 1
    """How many may ask at the same time, each with clips of their own."""


@runtime_checkable
class Engine(Protocol):
    """A recogniser. Not thread-safe: one caller at a time, unless its facts say more."""

    @property
    def facts(self) -> EngineFacts: ...

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in the order given."""
        ...

    def close(self) -> None:
        """Free the model's memory; calling it twice is fine."""
        ...


class LanedEngine(Engine, Protocol):
    """Stands for engine hosts, where what somebody waits for goes before what nobody does.

    Those that have ``lanes`` are some; ``isinstance`` would ask for facts too, which may take long.
    """

    @property
    def lanes(self) -> tuple[str, ...]:
        """Their names, the most urgent first."""
        ...

    def recognize(self, clips: Sequence[Clip], *, lane: str | None = None) -> list[Hypothesis]: ...
