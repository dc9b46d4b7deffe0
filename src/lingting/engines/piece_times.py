"""Times that another program gave to pieces of a text, as times of our words.

Toolkits and servers cut text in their own ways: characters, sentence pieces, words with or without
their marks. Our words (:func:`lingting.text.units.word_units`) get their times letter by letter,
so that it does not matter where the pieces were cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import SAMPLE_RATE_HZ
from lingting.engines.neural.alignment import spread
from lingting.text.units import word_units
from lingting.transcript import Word

Piece = tuple[str, float, float]
"""Text, begin and end in seconds."""


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
    """The words of ``text`` over what is loud in the clip, each as long as it has characters."""
    units = word_units(text)
    times = spread([float(len(unit.text)) for unit in units], samples, SAMPLE_RATE_HZ)
    duration_s = len(samples) / SAMPLE_RATE_HZ
    return tuple(
        _word(unit.text, begin, end, duration_s)
        for unit, (begin, end) in zip(units, times, strict=True)
    )


def _word(text: str, begin_s: float, end_s: float, duration_s: float) -> Word:
    """Milliseconds are enough, and rounding must not leave the clip."""
    return Word(text, min(round(begin_s, 3), duration_s), min(round(end_s, 3), duration_s))


def _letters(text: str) -> str:
    """Letters and digits, without case, marks and spaces."""
    return "".join(char for char in text.casefold() if char.isalnum())
