"""Times and probabilities of pieces of a text, as those of our words.

Toolkits and servers cut text in their own ways: characters, sentence pieces, words with or without
their marks, models into tokens. Our words (:func:`lingting.text.units.word_units`) get their times
letter by letter, so that it does not matter where the pieces were cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import SAMPLE_RATE_HZ
from lingting.engines.neural.alignment import spread
from lingting.joining import is_unspaced
from lingting.text.units import word_units
from lingting.transcript import Word

Piece = tuple[str, float, float]
"""Text, begin and end in seconds."""

# Seconds that a letter takes, relative to others: a Chinese character is a syllable.
_UNSPACED_WEIGHT = 1.0
_LETTER_WEIGHT = 0.3
_HANGUL_WEIGHT = 0.9


def words_of_pieces(text: str, pieces: Sequence[Piece], duration_s: float) -> tuple[Word, ...]:
    """The words of ``text`` with the times of the pieces that spell them, in order, in the clip.

    () when the letters of the pieces are not the letters of the text, or a time is no number.
    """
    spelt = [_letters(piece) for piece, _, _ in pieces]
    times_ok = all(math.isfinite(begin) and math.isfinite(end) for _, begin, end in pieces)
    if not times_ok or not any(spelt) or "".join(spelt) != _letters(text):
        return ()
    begins = [begin for letters, (_, begin, _) in zip(spelt, pieces, strict=True) for _ in letters]
    ends = [end for letters, (_, _, end) in zip(spelt, pieces, strict=True) for _ in letters]
    words: list[Word] = []
    at, last = 0, 0.0
    for unit in word_units(text):
        count = len(_letters(unit.text))
        begin = end = last
        if count:
            begin, end = begins[at], ends[at + count - 1]
            at += count
        begin = min(max(begin, last), duration_s)
        last = min(max(end, begin), duration_s)
        words.append(_word(unit.text, begin, last, duration_s))
    return tuple(words)


def spread_words(text: str, samples: NDArray[np.float32]) -> tuple[Word, ...]:
    """The words of ``text`` over what is loud in the clip, each as long as it takes to say."""
    units = word_units(text)
    times = spread([_weight(unit.text) for unit in units], samples, SAMPLE_RATE_HZ)
    duration_s = len(samples) / SAMPLE_RATE_HZ
    return tuple(
        _word(unit.text, begin, end, duration_s)
        for unit, (begin, end) in zip(units, times, strict=True)
    )


def with_confidences(
    text: str, words: Sequence[Word], token_ends: Sequence[int], logprobs: Sequence[float]
) -> tuple[Word, ...]:
    """The words with the mean probability of the tokens that wrote them.

    ``token_ends[i]`` is where token i ends in ``text``, ``logprobs[i]`` its natural logarithm.
    """
    starts = [0, *token_ends[:-1]]
    # Half a character ends where it starts; it belongs to the character that it begins.
    ends = [max(end, start + 1) for start, end in zip(starts, token_ends, strict=True)]
    chances = np.exp(np.minimum(np.asarray(logprobs, np.float64), 0.0))
    found: list[Word] = []
    cursor = first = 0
    for word in words:
        begin = text.index(word.text, cursor)
        cursor = begin + len(word.text)
        while first < len(ends) and ends[first] <= begin:
            first += 1
        last = first
        while last < len(ends) and starts[last] < cursor:
            last += 1
        mean = round(float(chances[first:last].mean()), 4) if last > first else None
        found.append(replace(word, confidence=mean))
    return tuple(found)


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


def _word(text: str, begin_s: float, end_s: float, duration_s: float) -> Word:
    """Milliseconds are enough, and rounding must not leave the clip."""
    return Word(text, min(round(begin_s, 3), duration_s), min(round(end_s, 3), duration_s))


def _letters(text: str) -> str:
    """Letters and digits, without case, marks and spaces."""
    return "".join(char for char in text.casefold() if char.isalnum())
