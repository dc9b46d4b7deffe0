"""Times for the words that the language model wrote; it gives none itself.

With a CTC branch the words are aligned to its frames. Nobody publishes how the branch spells, and
it sometimes hears another word than the language model wrote, so:

- a word is tried as written and in lower case, with and without the space before it, Chinese as a
  run and character by character; the spelling that the branch finds most probable is aligned;
- punctuation is not aligned, it has no sound;
- a frame in which the branch is sure of something else may still belong to a word, at a price.
  Without that one misheard character would drive its neighbours away from where they were said.

Without a branch the words are spread over what is loud in the clip.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import SAMPLE_RATE_HZ
from lingting.engines.neural.alignment import forced_align, spread
from lingting.joining import is_unspaced
from lingting.text.units import Unit, word_units
from lingting.transcript import Word

if TYPE_CHECKING:
    from lingting.engines.nano.ctc import Emissions
    from lingting.engines.nano.ctc_spelling import CtcSpelling

_FRAME_S = 0.06
_MISHEARD = 4.0  # nats that a frame costs in which the branch hears another token
_APOSTROPHES = "'’"
_HELD_S = 0.3  # CTC tells where a word is, not how long: silence behind it is its own up to here

# Seconds that a letter takes, relative to others: a Chinese character is a syllable.
_UNSPACED_WEIGHT = 1.0
_LETTER_WEIGHT = 0.3
_HANGUL_WEIGHT = 0.9


@dataclass(frozen=True, slots=True)
class _Spelt:
    """One way to spell a run of words: tokens, and for each the places in the run it covers."""

    tokens: tuple[int, ...]
    places: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """Letters that stand side by side in the text, at ``start``, and how they may be spelt."""

    start: int
    choices: tuple[_Spelt, ...]


def aligned_words(
    text: str,
    spelling: CtcSpelling,
    emissions_of: Callable[[Sequence[int]], Emissions],
    duration_s: float,
) -> tuple[Word, ...] | None:
    """Words with the times at which the CTC branch hears them; None when they do not fit."""
    units = word_units(text)
    runs = _runs(text, spelling)
    vocabulary = sorted({token for run in runs for one in run.choices for token in one.tokens})
    if not vocabulary:
        return None
    emissions = emissions_of(vocabulary)
    column = {token: at for at, token in enumerate(vocabulary)}
    evidence = emissions.tokens.max(axis=0)
    tokens: list[int] = []
    places: list[tuple[float, float]] = []
    for run in runs:
        chosen = max(
            run.choices,
            key=lambda one: float(np.mean([evidence[column[token]] for token in one.tokens])),
        )
        tokens += [column[token] for token in chosen.tokens]
        places += [(run.start + a, run.start + b) for a, b in chosen.places]
    floor = emissions.best[:, None] - np.float32(_MISHEARD)
    same = [at > 0 and token == tokens[at - 1] for at, token in enumerate(tokens)]
    spans = forced_align(np.maximum(emissions.tokens[:, tokens], floor), emissions.blank, same)
    if spans is None:
        return None
    return _timed(units, places, spans, duration_s)


def spread_words(text: str, samples: NDArray[np.float32]) -> tuple[Word, ...]:
    """Words spread over the loud stretches of the clip, each as long as it takes to say."""
    units = word_units(text)
    times = spread([_weight(unit.text) for unit in units], samples, SAMPLE_RATE_HZ)
    return tuple(
        Word(unit.text, round(begin, 3), round(end, 3))
        for unit, (begin, end) in zip(units, times, strict=True)
    )


def with_confidences(
    text: str, words: Sequence[Word], token_ends: Sequence[int], logprobs: Sequence[float]
) -> tuple[Word, ...]:
    """The words with the mean probability of the tokens that wrote them.

    ``token_ends[i]`` is where token i ends in ``text``.
    """
    starts = [0, *token_ends[:-1]]
    chances = np.exp(np.minimum(np.asarray(logprobs, np.float64), 0.0))
    found: list[Word] = []
    cursor = 0
    for word in words:
        begin = text.index(word.text, cursor)
        cursor = begin + len(word.text)
        own = [
            float(chance)
            for start, end, chance in zip(starts, token_ends, chances, strict=True)
            if start < cursor
            and max(end, start + 1) > begin  # half a character ends where it starts
        ]
        found.append(replace(word, confidence=round(sum(own) / len(own), 4) if own else None))
    return tuple(found)


def _runs(text: str, spelling: CtcSpelling) -> list[_Run]:
    """Everything in the text that can be heard, cut at white space, marks and change of script."""
    runs: list[_Run] = []
    start = 0
    for kind, group in groupby(_kinds(text), key=lambda one: one[1]):
        part = "".join(char for char, _ in group)
        piece = part.strip(_APOSTROPHES)
        at = start + part.find(piece)
        start += len(part)
        if kind is not None and piece:
            variants = _unspaced_variants(piece) if kind == "unspaced" else _spaced_variants(piece)
            runs.append(_Run(at, tuple(_spelt(one, spelling) for one in variants)))
    return runs


def _kinds(text: str) -> Iterator[tuple[str, str | None]]:
    """Each character with ``unspaced`` or ``spaced``, None for what has no sound."""
    kind: str | None = None
    for char in text:
        category = unicodedata.category(char)[0]
        if category in "LN":
            kind = "unspaced" if is_unspaced(char) else "spaced"
        elif char in _APOSTROPHES:
            kind = "spaced" if kind == "spaced" else None
        elif category != "M":  # a vowel sign belongs to its letter
            kind = None
        yield char, kind


# Parts of a run that are spelt one by one, each with the length of its leading space.
_Parts = list[tuple[str, int]]


def _spaced_variants(word: str) -> list[_Parts]:
    forms = dict.fromkeys((word, word.lower()))
    return [[(space + form, len(space))] for form in forms for space in (" ", "")]


def _unspaced_variants(run: str) -> list[_Parts]:
    return [[(run, 0)], [(char, 0) for char in run]] if len(run) > 1 else [[(run, 0)]]


def _spelt(parts: _Parts, spelling: CtcSpelling) -> _Spelt:
    """Tokens of the parts and the characters of the run that each of them covers."""
    tokens: list[int] = []
    places: list[tuple[float, float]] = []
    start = 0
    for part, space in parts:
        edges = _character_edges(part)
        at = 0
        for token in spelling.encode(part):
            end = at + len(spelling.spelt(token))
            tokens.append(token)
            places.append(
                (start + max(0.0, edges[at] - space), start + max(0.0, edges[end] - space))
            )
            at = end
        start += len(part) - space
    return _Spelt(tuple(tokens), tuple(places))


def _character_edges(text: str) -> list[float]:
    """For every byte of the text, and its end, where that is in characters: 你 → 0, ⅓, ⅔, 1."""
    edges: list[float] = []
    for at, char in enumerate(text):
        count = len(char.encode("utf-8"))
        edges += [at + part / count for part in range(count)]
    return [*edges, float(len(text))]


def _timed(
    units: Sequence[Unit],
    places: Sequence[tuple[float, float]],
    spans: Sequence[tuple[int, int]],
    duration_s: float,
) -> tuple[Word, ...]:
    """Each word from its first token to its last, and a little of the silence behind it."""
    times: list[tuple[float, float] | None] = []
    for unit in units:
        own = [
            (_inside(place, span, unit.start), _inside(place, span, unit.end))
            for place, span in zip(places, spans, strict=True)
            if place[0] < unit.end and place[1] > unit.start
        ]
        times.append((own[0][0] * _FRAME_S, own[-1][1] * _FRAME_S) if own else None)
    return _in_order(units, times, duration_s)


def _inside(place: tuple[float, float], span: tuple[int, int], at: float) -> float:
    """The frame in which a token that covers several characters reaches one of them."""
    if place[1] == place[0]:
        return float(span[0])
    share = (at - place[0]) / (place[1] - place[0])
    return span[0] + min(max(share, 0.0), 1.0) * (span[1] - span[0])


def _in_order(
    units: Sequence[Unit], times: Sequence[tuple[float, float] | None], duration_s: float
) -> tuple[Word, ...]:
    """Nothing goes back or leaves the clip; what has no sound stands at the end before it."""
    words: list[Word] = []
    held = 0.0
    for at, (unit, time) in enumerate(zip(units, times, strict=True)):
        begin = held if time is None else min(max(time[0], held), duration_s)
        following = next((one[0] for one in times[at + 1 :] if one is not None), duration_s)
        end = begin if time is None else max(begin, time[1])
        if time is not None:
            end = max(end, min(end + _HELD_S, following))
        held = min(end, duration_s)
        words.append(Word(unit.text, round(begin, 3), round(held, 3)))
    return tuple(words)


def _weight(word: str) -> float:
    """How long a word takes to say, relative to others."""
    return sum(
        _UNSPACED_WEIGHT
        if is_unspaced(char)
        else _HANGUL_WEIGHT
        if "\uac00" <= char <= "\ud7a3"
        else _LETTER_WEIGHT
        for char in word
        if char.isalnum()
    )
