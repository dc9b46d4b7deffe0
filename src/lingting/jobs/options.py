"""What is wanted of a recording, in a form that is kept with its job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from lingting.errors import OptionInvalid, OptionUnknown
from lingting.languages import parse_language
from lingting.store.records import MAX_WORD_CHARS, MAX_WORDS, Glossary

if TYPE_CHECKING:
    from lingting.pipeline import PipelineOptions

_SCRIPTS = ("simplified", "traditional", "as-is")
_CHANNELS = ("mix", "split")
_MAX_MODEL_CHARS = 200
_CAME_LATER = frozenset({"glossary", "glossary_id", "glossary_revision", "translate"})


@dataclass(frozen=True, slots=True)
class JobOptions:
    """As of ``PipelineOptions``, with the model; what does not exist is refused here already."""

    model: str = "auto"
    """A name that the engine hosts know; ``auto`` is the service's own choice."""
    language: str | None = None
    words: bool = False
    itn: bool = True
    script: str = "simplified"
    hotwords: tuple[str, ...] = ()
    prompt: str | None = None
    beam_size: int | None = None
    channels: str = "mix"
    translate: bool = False
    glossary: str | None = None
    """Name or id of the owner's glossary, or of one for all, whose words become hotwords."""
    glossary_id: str | None = None
    """Which one that was; the desk says so, whatever is given."""
    glossary_revision: int | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        object.__setattr__(self, "language", parse_language(self.language))
        object.__setattr__(self, "hotwords", tuple(self.hotwords))
        for name, value, allowed in (
            ("script", self.script, _SCRIPTS),
            ("channels", self.channels, _CHANNELS),
        ):
            if value not in allowed:
                raise OptionInvalid(f"{name} is {value[:40]}; allowed are {', '.join(allowed)}.")
        if not 0 < len(self.model) <= _MAX_MODEL_CHARS or not self.model.isprintable():
            raise OptionInvalid(f"model is a name of 1 to {_MAX_MODEL_CHARS} characters.")
        if self.beam_size is not None and not 1 <= self.beam_size <= 20:
            raise OptionInvalid(f"beam_size is {self.beam_size}; allowed are 1 to 20.")
        if len(self.hotwords) > MAX_WORDS:
            raise OptionInvalid(
                f"There are {len(self.hotwords)} hotwords; allowed are {MAX_WORDS}."
            )
        if any(len(one) > MAX_WORD_CHARS for one in (*self.hotwords, self.prompt or "")):
            raise OptionInvalid(f"A hotword or prompt is longer than {MAX_WORD_CHARS} characters.")

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; ``from_dict`` reads it back.

        What came later is left out where it was not asked for: requests are compared by it.
        """
        made = {**asdict(self), "hotwords": list(self.hotwords)}
        return {name: one for name, one in made.items() if one or name not in _CAME_LATER}

    def with_glossary(self, found: Glossary | None) -> JobOptions:
        """Its words behind those given, as many as are allowed; which one it was is kept."""
        if found is None:
            return replace(self, glossary_id=None, glossary_revision=None)
        words = dict.fromkeys((*self.hotwords, *(found.words or ())))
        return replace(
            self, hotwords=tuple(words)[:MAX_WORDS], glossary_id=found.id,
            glossary_revision=found.revision,
        )  # fmt: skip

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> JobOptions:
        """Raises OptionUnknown for a name that is no option, OptionInvalid for a wrong value."""
        known = {field.name for field in fields(cls)}
        for name in given:
            if name not in known:
                raise OptionUnknown(
                    f"{str(name)[:40]} is no option of a job; there are {', '.join(sorted(known))}."
                )
        return cls(**given)

    def pipeline(self, max_duration_s: float | None = None) -> PipelineOptions:
        """What the pipeline reads of it."""
        from lingting.pipeline import DEFAULT_PIPELINE, PipelineOptions

        return PipelineOptions(
            language=self.language,
            words=self.words,
            itn=self.itn,
            script=self.script,  # type: ignore[arg-type]  # checked above
            hotwords=self.hotwords,
            prompt=self.prompt,
            beam_size=self.beam_size,
            channels=self.channels,  # type: ignore[arg-type]  # checked above
            translate=self.translate,
            max_duration_s=max_duration_s or DEFAULT_PIPELINE.max_duration_s,
        )


def _check_types(options: JobOptions) -> None:
    """Values come from JSON that anybody may have written."""
    for names, allowed, told in (
        (("model", "script", "channels"), str, "text"),
        (("language", "prompt", "glossary", "glossary_id"), (str, type(None)), "text or null"),
        (("words", "itn", "translate"), bool, "true or false"),
    ):
        for name in names:
            if not isinstance(getattr(options, name), allowed):
                raise OptionInvalid(f"{name} must be {told}.")
    for name in ("beam_size", "glossary_revision"):
        value = getattr(options, name)
        if isinstance(value, bool) or not isinstance(value, (int, type(None))):
            raise OptionInvalid(f"{name} must be a whole number or null.")
    if not isinstance(options.hotwords, (list, tuple)) or not all(
        isinstance(one, str) for one in options.hotwords
    ):
        raise OptionInvalid("hotwords must be a list of texts.")
    texts = (options.model, options.language, options.prompt, options.glossary, *options.hotwords)
    if any(one is not None and not _is_text(one) for one in texts):
        raise OptionInvalid("An option holds half of a character, which is no text.")


def _is_text(given: str) -> bool:
    """JSON may name one half of a pair of UTF-16, and nothing can store that."""
    return not any("\ud800" <= char <= "\udfff" for char in given)
