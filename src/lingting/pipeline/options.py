"""What is wanted of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lingting.engines.base import RecognizeOptions
from lingting.errors import OptionInvalid
from lingting.languages import parse_language
from lingting.vad.options import DEFAULT_OPTIONS, VadOptions
from lingting.vad.pack import DEFAULT_PACKING, PackOptions

Script = Literal["simplified", "traditional", "as-is"]
Channels = Literal["mix", "split"]


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What is wanted of a recording; ``__post_init__`` refuses what does not exist."""

    language: str | None = None
    """Any name :func:`lingting.languages.parse_language` knows; None detects it."""
    words: bool = False
    itn: bool = True
    script: Script = "simplified"
    """For Chinese: simplified, traditional, or as the model writes it."""
    hotwords: tuple[str, ...] = ()
    prompt: str | None = None
    beam_size: int | None = None
    translate: bool = False
    """Write English, whatever is spoken; for models that can."""
    channels: Channels = "mix"
    """``split`` recognises each channel by itself, for calls with a speaker per channel."""
    vad: VadOptions = DEFAULT_OPTIONS
    packing: PackOptions = DEFAULT_PACKING
    max_duration_s: float = 12 * 3600.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", parse_language(self.language))
        if self.script not in ("simplified", "traditional", "as-is"):
            raise OptionInvalid(
                f"script is {self.script}; allowed are simplified, traditional and as-is."
            )
        if self.channels not in ("mix", "split"):
            raise OptionInvalid(f"channels is {self.channels}; allowed are mix and split.")
        if not self.max_duration_s > 0:
            raise OptionInvalid(f"max_duration_s is {self.max_duration_s}; it must be positive.")
        self.recognize()

    def recognize(self) -> RecognizeOptions:
        """The part of the options that an engine reads."""
        return RecognizeOptions(
            language=self.language,
            words=self.words,
            itn=self.itn,
            hotwords=self.hotwords,
            prompt=self.prompt,
            beam_size=self.beam_size,
            translate=self.translate,
        )


DEFAULT_PIPELINE = PipelineOptions()
