"""What a recording asks of an engine, group by group, and what became of it.

A clip that is too short or too doubtful to name its language follows that of its recording: the
language heard most so far, its own group included. So what a group's clips become depends on the
groups before it and on nothing else: neither on how groups were batched, nor on when they were
heard, nor on whether the work was broken off in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lingting.audio.decode import AudioFacts
from lingting.engines.base import Clip, Engine, Hypothesis
from lingting.errors import EngineFailed
from lingting.pipeline.composing import segments_of
from lingting.pipeline.options import PipelineOptions
from lingting.pipeline.reading import Group
from lingting.transcript import ModelFacts, Segment, Transcript
from lingting.vad.speech import ReadyClip

# A clip shorter or less certain than this follows the language of its recording.
_SURE_CLIP_S = 4.0
_SURE_LANGUAGE = 0.7


@dataclass(eq=False)
class Hearing:
    """The state of one recording between two groups; it holds no text.

    ``state()`` and ``from_state()`` carry it over a restart. One group after another:
    ``requests``, ``doubts``, ``take``; or all of it with ``hear``.
    """

    options: PipelineOptions
    done_s: float = 0.0
    """Seconds of the recording whose text is known."""
    speech_s: float = 0.0
    notes: Counter[str] = field(default_factory=Counter)
    votes: Counter[str] = field(default_factory=Counter)
    """Milliseconds of speech heard in a language, weighted by its certainty."""

    @property
    def language(self) -> str | None:
        """Given, or heard most, weighted by length and certainty."""
        if self.options.language is not None:
            return self.options.language
        return self.votes.most_common(1)[0][0] if self.votes else None

    def hear(self, engine: Engine, group: Group) -> list[Segment]:
        """Segments of a group, in file time. Raises what the engine raises as a whole."""
        clips = self.requests(group)
        found = recognized(engine, clips)
        doubts = self.doubts(group, clips, found)
        again = recognized(engine, list(doubts.values())) if doubts else []
        return self.take(group, found, dict(zip(doubts, again, strict=True)))

    def requests(self, group: Group) -> list[Clip]:
        """The clips of a group as an engine takes them."""
        options = self.options.recognize()
        return [
            Clip(one.clip.samples, options, one.clip.speech_s, one.clip.mean_score)
            for one in group.clips
        ]

    def doubts(
        self, group: Group, clips: Sequence[Clip], found: Sequence[Hypothesis]
    ) -> dict[int, Clip]:
        """Count the languages heard; the clips, by place, to hear again in the recording's."""
        heard = list(zip(group.clips, found, strict=True))
        for one, hypothesis in heard:
            self._vote(one.clip, hypothesis)
        language = self.language
        return {
            at: replace(clips[at], options=replace(clips[at].options, language=language))
            for at, (one, hypothesis) in enumerate(heard)
            if self._is_outvoted(one.clip, hypothesis)
        }

    def take(
        self, group: Group, found: Sequence[Hypothesis], again: Mapping[int, Hypothesis]
    ) -> list[Segment]:
        """Segments of a group; ``again`` holds what was heard of the doubtful clips."""
        segments: list[Segment] = []
        for at, (one, first) in enumerate(zip(group.clips, found, strict=True)):
            second = again.get(at, first)
            hypothesis = second if second.error is None else first
            self.speech_s += one.clip.speech_s
            self.notes.update(hypothesis.notes)
            segments += segments_of(one.clip, hypothesis, self.options, one.channel)
            # Channels are read side by side: a clip of one may end before that of another.
            self.done_s = max(self.done_s, one.clip.end_s)
        return segments

    def transcript(
        self, segments: Iterable[Segment], audio: AudioFacts, model: ModelFacts | None
    ) -> Transcript:
        """The whole, of the segments of all groups."""
        ordered = sorted(segments, key=lambda one: (one.start_s, one.end_s))
        told = None if self.options.translate else self.language
        return Transcript(
            segments=tuple(ordered),
            duration_s=round(audio.duration_s, 3),
            language=told or _most_common(one.language for one in ordered if one.text),
            speech_s=round(self.speech_s, 3),
            sample_rate_hz=audio.sample_rate_hz,
            channels=audio.channels,
            damage=audio.damage,
            model=model,
            notes=tuple(f"{name} x{count}" for name, count in sorted(self.notes.items())),
        )

    def state(self) -> dict[str, Any]:
        """Everything but the options, as JSON takes it; equal counts keep their order."""
        return {
            "done_s": self.done_s,
            "speech_s": self.speech_s,
            "notes": dict(self.notes),
            "votes": list(self.votes.items()),
        }

    @classmethod
    def from_state(cls, options: PipelineOptions, state: Mapping[str, Any]) -> Hearing:
        return cls(
            options,
            done_s=state["done_s"],
            speech_s=state["speech_s"],
            notes=Counter(state["notes"]),
            votes=Counter(dict(state["votes"])),
        )

    def _vote(self, clip: ReadyClip, hypothesis: Hypothesis) -> None:
        if hypothesis.language and hypothesis.language_confidence is not None and hypothesis.text:
            weight = clip.speech_s * hypothesis.language_confidence
            self.votes[hypothesis.language] += round(1000 * weight)

    def _is_outvoted(self, clip: ReadyClip, hypothesis: Hypothesis) -> bool:
        if hypothesis.language_confidence is None or not hypothesis.text:
            return False
        if hypothesis.language == self.language:
            return False
        is_sure = hypothesis.language_confidence >= _SURE_LANGUAGE
        return clip.speech_s < _SURE_CLIP_S or not is_sure


def recognized(engine: Engine, clips: Sequence[Clip]) -> list[Hypothesis]:
    """One hypothesis for each clip. Raises EngineFailed when the engine breaks that promise."""
    found = engine.recognize(clips)
    if len(found) != len(clips):
        raise EngineFailed(f"{len(clips)} clips were given, {len(found)} came back.")
    return found


def _most_common(languages: Iterable[str | None]) -> str | None:
    """For text that nobody voted on, such as what was only heard after a doubt."""
    counted = Counter(language for language in languages if language)
    return counted.most_common(1)[0][0] if counted else None
