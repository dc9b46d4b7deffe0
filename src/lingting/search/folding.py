"""Text as a search sees it: units with their places, alike however they are written.

A unit is a word of letters, a run of digits, or one character of a script that puts no spaces
between words (Chinese, kana, Thai; a syllable of Hangul too, because Korean words carry their
particles with them). Full and half width, upper and lower case, simplified and traditional are one.
Punctuation and spaces part words and are no units themselves, so 你好，世界 holds 好世.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lingting.joining import is_unspaced

if TYPE_CHECKING:
    from opencc import OpenCC

_HANGUL = ("\uac00", "\ud7a3")
_MOST_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Units:
    """Units in order; unit ``n`` stands for ``text[starts[n]:ends[n]]``, in code points."""

    texts: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)


def units_of(text: str) -> Units:
    """All units of a text."""
    texts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    word: list[str] = []
    first = last = 0

    def end_word() -> None:
        if word:
            texts.append("".join(word))
            starts.append(first)
            ends.append(last)
            word.clear()

    for start, end in _clusters(text):
        for char in _folded(text[start:end]):
            if not _is_part(char) or (not word and unicodedata.combining(char)):
                end_word()
            elif is_single(char):
                end_word()
                texts.append(char)
                starts.append(start)
                ends.append(end)
            else:
                if word and word[-1].isdecimal() != char.isdecimal():
                    end_word()
                if not word:
                    first = start
                word.append(char)
                last = end
    end_word()
    return Units(tuple(texts), tuple(starts), tuple(ends))


@cache
def is_single(char: str) -> bool:
    """True for a character that is a unit by itself."""
    return is_unspaced(char) or _HANGUL[0] <= char <= _HANGUL[1]


@cache
def is_han(char: str) -> bool:
    """True for a Chinese character."""
    return (
        "\u4e00" <= char <= "\u9fff"
        or "\u3400" <= char <= "\u4dbf"
        or "\U00020000" <= char <= "\U000323af"
        or char in "々〇"
    )


def _clusters(text: str) -> list[tuple[int, int]]:
    """Each character with the marks that stand on it."""
    if text.isascii():
        return [(at, at + 1) for at in range(len(text))]
    spans: list[tuple[int, int]] = []
    for at, char in enumerate(text):
        if spans and char > "\u02ff" and unicodedata.combining(char):
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    return spans


@cache
def _is_part(char: str) -> bool:
    """Letters, digits, and marks that go with letters, such as Thai and Hindi vowels."""
    return char.isalnum() or unicodedata.category(char)[0] == "M"


_remembered: dict[str, str] = {}


def _folded(cluster: str) -> str:
    known = _remembered.get(cluster)
    if known is None:
        plain = unicodedata.normalize("NFKC", cluster).casefold()
        known = "".join(map(_simplified, unicodedata.normalize("NFKC", plain)))
        if len(_remembered) < _MOST_REMEMBERED:
            _remembered[cluster] = known
    return known


def _simplified(char: str) -> str:
    """Its simplified form, if it is a traditional character.

    Characters are folded one by one, unlike a conversion that people read: 乾 and 干 are one here
    in every word, for a search had better find too much than too little.
    """
    if not is_han(char):
        return char
    folded: str = _converter().convert(char)
    return folded if len(folded) == 1 else char


@cache
def _converter() -> OpenCC:
    from opencc import OpenCC

    return OpenCC("t2s")
