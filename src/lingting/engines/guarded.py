"""A guard around any engine: what looks wrong is tried again, what stays wrong is marked.

::

    doubtful text ─ again, careful, without prompt ─ again, in parts ─ the best of them
                                                                             │
              kept with a note ◄─ loops said once ◄─ text on non-speech dropped

The same request is never made twice: where nothing can be dropped from it and the engine has no
careful way, parts are tried at once. Nothing is lost silently: every decision is a note on the
hypothesis, ``guard.<what>``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lingting.engines.base import (
    SAMPLE_RATE_HZ,
    Clip,
    Engine,
    EngineFacts,
    Hypothesis,
    RecognizeOptions,
)
from lingting.errors import ModelCannot
from lingting.joining import join
from lingting.text.guard import Heard, cut_loop, doubts, is_non_speech, say_once
from lingting.transcript import Word

_SHORTEST_SPLIT_S = 4.0
_SPLIT_DEPTH = 3  # a clip of 25 s ends as eighths of 3 s
_LOOPING = frozenset({"loop", "rate", "cut"})
_CUT_ZONE = 0.3  # a clip is halved at the quietest place in its middle 40 %
_QUIET_WINDOW_S = 0.1


@dataclass
class _Trial:
    """One clip and everything that was heard in it."""

    clip: Clip
    candidates: list[tuple[Hypothesis, tuple[str, ...]]] = field(default_factory=list)

    def add(self, hypothesis: Hypothesis) -> None:
        self.candidates.append((hypothesis, doubts(_heard(self.clip, hypothesis))))

    @property
    def is_settled(self) -> bool:
        hypothesis, found = self.candidates[-1]
        return hypothesis.error is not None or not found

    @property
    def best(self) -> tuple[Hypothesis, tuple[str, ...]]:
        """Fewest doubts, then most probable; of equals the later, which was tried harder.

        Silence never wins over words that may have been said: doubtful text is better than none.
        """
        worded = [one for one in self.candidates if self._is_worded(one[0])]
        return max(
            reversed(worded or self.candidates),
            key=lambda one: (one[0].error is None, -len(one[1]), one[0].confidence or 0.0),
        )

    def _is_worded(self, hypothesis: Hypothesis) -> bool:
        return bool(hypothesis.text) and not self.is_non_speech(hypothesis)

    def is_non_speech(self, hypothesis: Hypothesis) -> bool:
        """Judged more strictly where the first hearing was: on music a second is often surer."""
        first = self.candidates[0][0]
        is_suspect = hypothesis is not first and is_non_speech(_heard(self.clip, first))
        return is_non_speech(_heard(self.clip, hypothesis), is_suspect=is_suspect)


@dataclass
class _Part:
    """A piece of a looping clip, ``start_s`` into it."""

    trial: _Trial
    clip: Clip
    start_s: float = 0.0
    hypothesis: Hypothesis = field(default_factory=lambda: Hypothesis(""))
    is_looping: bool = False

    def settle(self, hypothesis: Hypothesis) -> None:
        """Keep what was heard, without what is certainly a loop."""
        found = doubts(_heard(self.clip, hypothesis))
        self.is_looping = hypothesis.error is None and _can_split(self.clip, found)
        text = cut_loop(hypothesis.text) if "loop" in found else hypothesis.text
        words = hypothesis.words if text == hypothesis.text else _words_of(text, hypothesis.words)
        self.hypothesis = replace(hypothesis, text=text, words=words)

    @property
    def words(self) -> tuple[Word, ...]:
        """Times from the start of the whole clip."""
        return tuple(
            replace(w, start_s=w.start_s + self.start_s, end_s=w.end_s + self.start_s)
            for w in self.hypothesis.words
        )


class GuardedEngine:
    """The same protocol as the engine inside; costs nothing when nothing is doubtful."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def facts(self) -> EngineFacts:
        return self._engine.facts

    def close(self) -> None:
        self._engine.close()

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in order."""
        if not self.facts.has_translation and any(one.options.translate for one in clips):
            return self._untranslated(clips)
        trials = [_Trial(clip) for clip in clips]
        for trial, hypothesis in zip(trials, self._engine.recognize(clips), strict=True):
            trial.add(hypothesis)
        self._again(trials)
        self._in_parts(
            [t for t in trials if not t.is_settled and _can_split(t.clip, t.candidates[-1][1])]
        )
        return [_settle(trial) for trial in trials]

    def _untranslated(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Those to be translated are refused, for a text in another language is no answer."""
        found = iter(self.recognize([clip for clip in clips if not clip.options.translate]))
        model = self.facts.model.id
        return [
            Hypothesis("", error=ModelCannot(f"The model {model} does not translate."))
            if clip.options.translate
            else next(found)
            for clip in clips
        ]

    def _again(self, trials: list[_Trial]) -> None:
        """Cooler and without a prompt: both make a decoder loop less."""
        has_careful = self._engine.facts.has_careful
        asked = [(trial, _careful(trial)) for trial in trials if not trial.is_settled]
        asked = [
            (trial, clip)
            for trial, clip in asked
            if has_careful or _is_other(clip.options, trial.clip.options)
        ]
        if asked:
            found = self._engine.recognize([clip for _, clip in asked])
            for (trial, _), hypothesis in zip(asked, found, strict=True):
                trial.add(_noted(hypothesis, "guard.retried"))

    def _in_parts(self, trials: list[_Trial]) -> None:
        """Halve what loops, and halve again what still does: a loop seldom survives its cause."""
        parts = [
            _Part(trial, half, at_s)
            for trial in trials
            for half, at_s in _with_offsets(_halves(trial.clip))
        ]
        leaves: dict[int, list[_Part]] = {id(trial): [] for trial in trials}
        for depth in range(_SPLIT_DEPTH):
            if not parts:
                break
            found = self._engine.recognize([part.clip for part in parts])
            following: list[_Part] = []
            for part, hypothesis in zip(parts, found, strict=True):
                part.settle(hypothesis)
                if depth + 1 < _SPLIT_DEPTH and part.is_looping:
                    following += [
                        _Part(part.trial, half, part.start_s + at_s)
                        for half, at_s in _with_offsets(_halves(part.clip))
                    ]
                else:
                    leaves[id(part.trial)].append(part)
            parts = following
        for trial in trials:
            ordered = sorted(leaves[id(trial)], key=lambda part: part.start_s)
            trial.add(_noted(_joined(ordered), "guard.split"))


def _heard(clip: Clip, hypothesis: Hypothesis) -> Heard:
    return Heard(
        text=hypothesis.text,
        duration_s=clip.duration_s,
        speech_s=clip.duration_s if clip.speech_s is None else clip.speech_s,
        speech_score=clip.speech_score,
        confidence=hypothesis.confidence,
        no_speech=hypothesis.no_speech,
        is_cut=hypothesis.is_cut,
        prompt=hypothesis.prompt,
    )


def _careful(trial: _Trial) -> Clip:
    options = trial.clip.options
    language = options.language or trial.candidates[0][0].language
    careful = replace(
        options, careful=True, prompt="", hotwords=(), temperature=0.0, language=language
    )
    return replace(trial.clip, options=careful)


def _is_other(careful: RecognizeOptions, given: RecognizeOptions) -> bool:
    """Whether an engine without a careful way of its own can hear anything else this time."""
    has_less = bool(given.prompt or given.hotwords or given.temperature)
    return has_less or careful.language != given.language


def _can_split(clip: Clip, found: Sequence[str]) -> bool:
    """Parts help against loops; a faint or empty clip stays faint in parts."""
    return clip.duration_s >= _SHORTEST_SPLIT_S and bool(_LOOPING & set(found))


def _halves(clip: Clip) -> tuple[Clip, Clip]:
    """Two clips, cut where it is quietest near the middle, to be recognised carefully."""
    samples = clip.samples
    window = int(_QUIET_WINDOW_S * SAMPLE_RATE_HZ)
    first, last = (int(len(samples) * share) for share in (_CUT_ZONE, 1 - _CUT_ZONE))
    zone = samples[first:last]
    zone = zone[: len(zone) // window * window]  # a shorter last window would seem the quietest
    power = np.add.reduceat(np.square(zone), np.arange(0, len(zone), window))
    at = first + int(np.argmin(power)) * window + window // 2
    options = replace(clip.options, careful=True, prompt="", hotwords=(), temperature=0.0)
    shares = (at / len(samples), 1 - at / len(samples))
    speech = [None if clip.speech_s is None else clip.speech_s * share for share in shares]
    return (
        Clip(samples[:at], options, speech[0], clip.speech_score),
        Clip(samples[at:], options, speech[1], clip.speech_score),
    )


def _with_offsets(halves: tuple[Clip, Clip]) -> list[tuple[Clip, float]]:
    return [(halves[0], 0.0), (halves[1], halves[0].duration_s)]


def _joined(parts: Sequence[_Part]) -> Hypothesis:
    """What the parts said, in order, as one hypothesis of the whole clip."""
    heard = [part.hypothesis for part in parts]
    failed = [one for one in heard if one.error is not None]
    if failed:
        return failed[0]
    texts = [one for one in heard if one.text]
    confidences = [one.confidence for one in texts if one.confidence]
    silences = [one.no_speech for one in heard if one.no_speech is not None]
    return Hypothesis(
        text=join(one.text for one in heard),
        language=(texts or heard)[0].language,
        words=tuple(word for part in parts for word in part.words),
        words_source=next((one.words_source for one in texts if one.words_source), None),
        emotion=(texts or heard)[0].emotion,
        events=tuple(dict.fromkeys(event for one in heard for event in one.events)),
        confidence=math.prod(confidences) ** (1 / len(confidences)) if confidences else None,
        no_speech=min(silences, default=None),
        is_cut=any(one.is_cut for one in heard),
        notes=heard[0].notes,
    )


def _settle(trial: _Trial) -> Hypothesis:
    """The best candidate, cleaned of what is certainly wrong, with notes on what was done."""
    best, found = trial.best
    if best.error is not None:
        return best
    first = trial.candidates[0]
    notes = list(best.notes)
    if first[1] and best is not first[0]:
        # What the engine said of the request holds: a second hearing asks for less.
        notes = [*first[0].notes, *notes, *(f"guard.{name}" for name in first[1])]
    if trial.is_non_speech(best):
        return replace(best, text="", words=(), notes=(*notes, "guard.non_speech"))
    notes += [f"doubt.{name}" for name in found]
    text = best.text
    if "loop" in found:
        text = cut_loop(text)
        notes.append("guard.loop_cut")
    if "twice" in found and best.is_cut:
        text = say_once(text)
    words = best.words if text == best.text else _words_of(text, best.words)
    return replace(best, text=text, words=words, notes=tuple(dict.fromkeys(notes)))


def _words_of(text: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The words that are still in the text, in order; a loop's later rounds are gone."""
    kept: list[Word] = []
    cursor = 0
    for word in words:
        at = text.find(word.text, cursor)
        if at < 0 or at - cursor > len(word.text) + 8:
            continue
        kept.append(word)
        cursor = at + len(word.text)
    return tuple(kept)


def _noted(hypothesis: Hypothesis, note: str) -> Hypothesis:
    return replace(hypothesis, notes=(*hypothesis.notes, note))
