"""A guard around any engine: what looks wrong is tried again, what stays wrong is marked.

::

    doubtful text ─ again, careful, without prompt ─ again, in two halves ─ the best of them
                                                                             │
              kept with a note ◄─ loops said once ◄─ text on non-speech dropped

Nothing is lost silently: every decision is a note on the hypothesis, ``guard.<what>``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lingting.engines.base import SAMPLE_RATE_HZ, Clip, Engine, EngineFacts, Hypothesis
from lingting.joining import join
from lingting.text.guard import Heard, cut_loop, doubts, is_non_speech, say_once
from lingting.transcript import Word

_SHORTEST_SPLIT_S = 4.0
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
        """Fewest doubts, then most probable; of equals the later, which was tried harder."""
        return max(
            reversed(self.candidates),
            key=lambda one: (one[0].error is None, -len(one[1]), one[0].confidence or 0.0),
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
        trials = [_Trial(clip) for clip in clips]
        for trial, hypothesis in zip(trials, self._engine.recognize(clips), strict=True):
            trial.add(hypothesis)
        self._again(trials)
        self._in_halves([t for t in trials if not t.is_settled and _worth_splitting(t)])
        return [_settle(trial) for trial in trials]

    def _again(self, trials: list[_Trial]) -> None:
        """Cooler and without a prompt: both make a decoder loop less."""
        doubtful = [trial for trial in trials if not trial.is_settled]
        clips = [_careful(trial) for trial in doubtful]
        if clips:
            for trial, found in zip(doubtful, self._engine.recognize(clips), strict=True):
                trial.add(_noted(found, "guard.retried"))

    def _in_halves(self, trials: list[_Trial]) -> None:
        halves = [_halves(trial.clip) for trial in trials]
        clips = [half for pair in halves for half in pair]
        if not clips:
            return
        found = self._engine.recognize(clips)
        for at, trial in enumerate(trials):
            left, right = found[2 * at : 2 * at + 2]
            trial.add(_noted(_joined(left, right, halves[at][0].duration_s), "guard.split"))


def _heard(clip: Clip, hypothesis: Hypothesis) -> Heard:
    return Heard(
        text=hypothesis.text,
        duration_s=clip.duration_s,
        speech_s=clip.duration_s if clip.speech_s is None else clip.speech_s,
        confidence=hypothesis.confidence,
        no_speech=hypothesis.no_speech,
        is_cut=hypothesis.is_cut,
    )


def _careful(trial: _Trial) -> Clip:
    options = trial.clip.options
    language = options.language or trial.candidates[0][0].language
    careful = replace(
        options, careful=True, prompt="", hotwords=(), temperature=0.0, language=language
    )
    return replace(trial.clip, options=careful)


def _worth_splitting(trial: _Trial) -> bool:
    """Halving helps against loops; a faint or empty clip stays faint in parts."""
    found = set(trial.candidates[-1][1])
    return trial.clip.duration_s >= _SHORTEST_SPLIT_S and bool(found & {"loop", "rate", "cut"})


def _halves(clip: Clip) -> tuple[Clip, Clip]:
    """Two clips, cut where it is quietest near the middle, to be recognised carefully."""
    samples = clip.samples
    window = int(_QUIET_WINDOW_S * SAMPLE_RATE_HZ)
    first, last = (int(len(samples) * share) for share in (_CUT_ZONE, 1 - _CUT_ZONE))
    zone = samples[first:last]
    power = np.add.reduceat(np.square(zone), np.arange(0, len(zone), window))
    at = first + int(np.argmin(power)) * window + window // 2
    options = replace(clip.options, careful=True, prompt="", hotwords=(), temperature=0.0)
    left_share = at / len(samples)
    speech_s = clip.speech_s
    return (
        Clip(samples[:at], options, None if speech_s is None else speech_s * left_share),
        Clip(samples[at:], options, None if speech_s is None else speech_s * (1 - left_share)),
    )


def _joined(left: Hypothesis, right: Hypothesis, offset_s: float) -> Hypothesis:
    """What the two halves said, as one hypothesis of the whole clip."""
    if left.error or right.error:
        return left if left.error else right
    words = tuple(
        Word(w.text, w.start_s + offset_s, w.end_s + offset_s, w.confidence) for w in right.words
    )
    confidences = [h.confidence for h in (left, right) if h.text and h.confidence]
    return Hypothesis(
        text=join([left.text, right.text]),
        language=left.language if left.text else right.language,
        words=left.words + words,
        confidence=math.prod(confidences) ** (1 / len(confidences)) if confidences else None,
        no_speech=min(
            (h.no_speech for h in (left, right) if h.no_speech is not None), default=None
        ),
        is_cut=left.is_cut or right.is_cut,
        notes=left.notes,
    )


def _settle(trial: _Trial) -> Hypothesis:
    """The best candidate, cleaned of what is certainly wrong, with notes on what was done."""
    best, found = trial.best
    if best.error is not None:
        return best
    first = trial.candidates[0]
    notes = list(best.notes)
    if first[1] and best is not first[0]:
        notes += [f"guard.{name}" for name in first[1]]
    if is_non_speech(_heard(trial.clip, best)):
        return replace(best, text="", words=(), notes=(*notes, "guard.non_speech"))
    notes += [f"doubt.{name}" for name in found]
    text = best.text
    if "loop" in found:
        text = cut_loop(text)
        notes.append("guard.loop_cut")
    if "twice" in found and len(trial.candidates) > 1 and best.is_cut:
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
