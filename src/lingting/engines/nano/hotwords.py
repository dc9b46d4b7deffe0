"""Which hotwords go into one clip's prompt: a few, whatever the length of the list.

The model was trained with a handful; long lists make it loop and invent. So out of a long list
those are taken that sound like something in the clip's first text, the way the authors describe
it (arXiv 2509.12508, retrieval from the CTC hypothesis). Chinese is compared by its syllables
without tones, and what southern speakers do not tell apart counts as the same: zh and z, ing and
in. A word is looked at closely only when it shares a good part of its syllables, or of its groups
of three letters, with the text, so that a list of many thousands stays cheap.

Notes tell how many words were used, never which.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz import fuzz

MOST_HOTWORDS = 20

_CLOSE_ENOUGH = 75.0  # of 100; 80 is one wrong syllable of a three-syllable word
_CHANCE = 70.0  # what words that have nothing in common may reach
_SHARED = 0.5  # so much of a word's grams must be in the text before it is compared
_COMPARED = 200
_PIECES = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3400-\u9fff\uf900-\ufaff]+")
_ONE_SOUND = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ng", "n"))


@dataclass(frozen=True, slots=True)
class Chosen:
    """What goes into the prompt, in the caller's order, and what to tell about it."""

    words: tuple[str, ...]
    notes: tuple[str, ...] = ()


def choose(hotwords: Sequence[str], first_text: str | None) -> Chosen:
    """At most 20 of ``hotwords``: all, or those nearest to ``first_text``, or the first 20.

    ``first_text`` is None where the model has no CTC branch; then the caller's order decides and
    a note says so.
    """
    words = _cleaned(tuple(hotwords))
    if len(words) <= MOST_HOTWORDS:
        return Chosen(words)
    if first_text is None:
        return Chosen(words[:MOST_HOTWORDS], (f"hotwords.first_{MOST_HOTWORDS}_of_{len(words)}",))
    near = _index(words).nearest(first_text)
    return Chosen(near, (f"hotwords.chosen_{len(near)}_of_{len(words)}",))


@lru_cache(maxsize=8)
def _cleaned(hotwords: tuple[str, ...]) -> tuple[str, ...]:
    """Each word once, without line breaks and outer space; empty ones are gone."""
    return tuple(word for word in dict.fromkeys(" ".join(one.split()) for one in hotwords) if word)


class _Index:
    """The sounds of a list of words, made once for all clips that share the list."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = words
        self._sounds = [_sounds(word) for word in words]
        self._lines = [" ".join(sounds) for sounds in self._sounds]
        self._grams = [_grams(sounds) for sounds in self._sounds]
        self._holders: dict[str, list[int]] = {}
        for at, grams in enumerate(self._grams):
            for gram in grams:
                self._holders.setdefault(gram, []).append(at)

    def nearest(self, text: str) -> tuple[str, ...]:
        heard = _sounds(text)
        shared = Counter(at for gram in _grams(heard) for at in self._holders.get(gram, ()))
        shares = {at: count / len(self._grams[at]) for at, count in shared.items()}
        likely = sorted(shares, key=lambda at: (-shares[at], at))[:_COMPARED]
        line = " ".join(heard)
        scores = {
            at: fuzz.partial_ratio(self._lines[at], line, score_cutoff=_CLOSE_ENOUGH)
            for at in likely
            if shares[at] >= _SHARED and len(self._sounds[at]) <= len(heard) + 1
        }
        found = [at for at, score in scores.items() if score > 0]
        # The longer a word, the less its likeness is chance.
        best = sorted(found, key=lambda at: (-(scores[at] - _CHANCE) * len(self._lines[at]), at))
        return tuple(self._words[at] for at in sorted(best[:MOST_HOTWORDS]))


_index = lru_cache(maxsize=4)(_Index)


def _sounds(text: str) -> tuple[str, ...]:
    """Syllables of Chinese characters and words of other scripts, in lower case."""
    return tuple(_sound(piece) for piece in _PIECES.findall(text.lower()))


@lru_cache(maxsize=32_768)
def _sound(piece: str) -> str:
    syllable = _syllable(piece) if len(piece) == 1 and piece >= "\u3400" else ""
    for spelt, sound in _ONE_SOUND if syllable else ():
        syllable = syllable.replace(spelt, sound)
    return syllable or piece


def _syllable(char: str) -> str:
    """The commonest reading of a character; nothing without the pronunciation table."""
    try:
        from pypinyin import lazy_pinyin
    except ImportError:  # characters are compared as they are written
        return ""
    readings = lazy_pinyin(char, errors="ignore")
    return readings[0] if readings else ""


def _grams(sounds: Iterable[str]) -> frozenset[str]:
    """Short sounds whole, long words by every three letters."""
    grams: set[str] = set()
    for sound in sounds:
        grams.update(sound[at : at + 3] for at in range(max(1, len(sound) - 2)))
    return frozenset(grams)
