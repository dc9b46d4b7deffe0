"""What one word of a transcript is: a word, or one character where a script has no spaces.

Every engine that times its text cuts it by these rules, so that words from different models look
alike. Punctuation joins the word before it (an opening mark the word after it).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from lingting.joining import is_unspaced

# Other marks behind a space, such as "quotes", ¿ and a minus, belong to what follows.
_CLOSING_AFTER_SPACE = frozenset("!?:;,.…»%–—")


@dataclass(frozen=True, slots=True)
class Unit:
    """``text[start:end]`` of the whole text."""

    text: str
    start: int
    end: int


def word_units(text: str) -> list[Unit]:
    """The words of ``text`` in order; nothing but white space lies between them.

    A mark set off by a space, as in ``Ça va ?``, keeps that space inside its word.
    """
    units: list[Unit] = []
    at = 0
    for part in split_unspaced(text):
        start, at = at, at + len(part)
        for offset, piece in _spaceless(part):
            begin = start + offset
            if units and joins_previous(
                units[-1].text, piece, " " if units[-1].end < begin else ""
            ):
                units[-1] = Unit(
                    text[units[-1].start : begin + len(piece)], units[-1].start, begin + len(piece)
                )
            else:
                units.append(Unit(piece, begin, begin + len(piece)))
    return units


def split_unspaced(text: str) -> list[str]:
    """Cut before and after every character of an unspaced script; marks on letters stay there."""
    parts: list[str] = []
    for char in text:
        starts = not parts or is_unspaced(char) or is_unspaced(parts[-1][-1])
        if starts and not (parts and _is_combining(char)):
            parts.append(char)
        else:
            parts[-1] += char
    return parts


def joins_previous(held: str, text: str, space: str) -> bool:
    """Whether ``text``, which stands ``space`` behind ``held``, is a part of the same word."""
    if _is_combining(text[0]):
        return True
    if _is_mark(text):
        return not space or text[0] in _CLOSING_AFTER_SPACE
    if is_unspaced(text[0]) or is_unspaced(held[-1]):
        # 《 waits for what it opens; everything else is complete.
        return unicodedata.category(held[-1]) in {"Ps", "Pi"}
    return not space


def _spaceless(part: str) -> list[tuple[int, str]]:
    """The pieces of ``part`` between its spaces, with their places in it."""
    found: list[tuple[int, str]] = []
    inside = False
    for at, char in enumerate(part):
        if char.isspace():
            inside = False
        elif inside:
            found[-1] = (found[-1][0], found[-1][1] + char)
        else:
            found.append((at, char))
            inside = True
    return found


def _is_combining(char: str) -> bool:
    """A vowel sign or tone mark, which is nothing without the letter before it."""
    return unicodedata.category(char)[0] == "M"


def _is_mark(text: str) -> bool:
    """Only punctuation, and none of it opening."""
    return all(unicodedata.category(c)[0] == "P" for c in text) and not any(
        unicodedata.category(c) in {"Ps", "Pi"} for c in text
    )
