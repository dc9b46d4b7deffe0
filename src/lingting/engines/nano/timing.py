"""Times for the words that the language model wrote; it gives none itself.

With a CTC branch the words are aligned to its frames. Nobody publishes how the branch spells, and
it sometimes hears another word than the language model wrote, so:

- a word is tried as written and in lower case, with and without the space before it, Chinese as a
  run and character by character; the spelling that the branch finds most probable is aligned;
- punctuation is not aligned, it has no sound;
- a frame in which the branch is sure of something else may still belong to a word, at a price.
  Without that one misheard character would drive its neighbours away from where they were said.

Without a branch the words are spread over what is loud in the clip
(:func:`lingting.engines.piece_times.spread_words`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from lingting.engines.neural.alignment import forced_align
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
    first = 0  # tokens and words are both in order
    for unit in units:
        while first < len(places) and places[first][1] <= unit.start:
            first += 1
        last = first
        while last < len(places) and places[last][0] < unit.end:
            last += 1
        time = None
        if last > first:
            begin = _inside(places[first], spans[first], unit.start)
            end = _inside(places[last - 1], spans[last - 1], unit.end)
            time = (begin * _FRAME_S, end * _FRAME_S)
        times.append(time)
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
    followings = [duration_s]  # where the next word that has a time begins, from the back
    for time in reversed(times):
        followings.append(followings[-1] if time is None else time[0])
    words: list[Word] = []
    held = 0.0
    for unit, time, following in zip(units, times, followings[-2::-1], strict=True):
        begin = held if time is None else min(max(time[0], held), duration_s)
        end = begin if time is None else max(begin, time[1])
        if time is not None:
            end = max(end, min(end + _HELD_S, following))
        held = min(end, duration_s)
        words.append(Word(unit.text, round(begin, 3), round(held, 3)))
    return tuple(words)
