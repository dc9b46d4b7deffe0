"""Where a line of subtitles may end, and how wide text is.

Widths are tenths of a Latin character. A line holds 42 Latin or 20 wide (Chinese, Japanese, Korean)
characters, so a wide one takes 2.1 Latin ones and mixed lines share one budget. These are the usual
limits of subtitle houses for the two scripts.

A line never ends inside a number or a Latin word, before closing or after opening punctuation
(kinsoku, JIS X 4051), between a number and its unit, inside a katakana word, or before a combining
mark. A single word wider than a whole line is cut all the same: nothing else would fit.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from lingting.joining import is_unspaced

LINE_WIDTH = 420
_WIDE = 21
_NARROW = 10
SPACE_WIDTH = _NARROW

SENTENCE_ENDS = frozenset("。！？!?．.…।؟")
CLAUSE_ENDS = frozenset("，、；：,;:،؛—–")
_CLOSERS = frozenset("’”\"')）]】》〉」』〕}］｝»›")
OPENERS = frozenset("‘“(（[【《〈「『〔{［｛«‹¥$€£￥＄#＃")
NO_START = (SENTENCE_ENDS | CLAUSE_ENDS | _CLOSERS) - frozenset("\"'") | frozenset(
    "%％‰℃°·・〜～ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々ゝゞヽヾ\u0e2f\u0e46"
)
_CHINESE_NUMERALS = frozenset("零〇一二三四五六七八九十百千万亿两")
_THAI_PREVOWELS = frozenset("เแโใไເແໂໃໄ")
_WHITE = re.compile(r"[^\S\u00a0\u202f\u2007]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that stays on one line. ``begin`` and ``end`` are its place in the cleaned text."""

    text: str
    has_space: bool
    """A space stands before it, unless it begins a line."""
    begin: int
    end: int
    is_cut: bool = False
    """Cut from the next piece although they are one word."""


def clean(text: str) -> str:
    """One line: white space runs become one space, control characters go, no-break spaces stay."""
    kept = (c for c in text if c.isspace() or unicodedata.category(c) not in {"Cc", "Cs"})
    return _WHITE.sub(" ", "".join(kept)).strip(" ")


def width(text: str) -> int:
    """Display width in tenths of a Latin character."""
    return sum(_char_width(char) for char in text)


def is_wide(char: str) -> bool:
    """True for what takes the room of two Latin characters."""
    return unicodedata.east_asian_width(char) in "WF"


def pieces(text: str) -> list[Piece]:
    """The unbreakable pieces of cleaned ``text``, in order, none wider than a line."""
    found: list[Piece] = []
    begin = 0
    for at in range(1, len(text) + 1):
        if at < len(text) and not may_break(text, at):
            continue
        found.extend(_fitting(text, begin, at))
        begin = at
    return found


def may_break(text: str, at: int) -> bool:
    """Whether a line may end before ``text[at]``; a space belongs to what follows it."""
    left, right = text[at - 1], text[at]
    if left == " ":
        return False  # the break is before the space
    if right == " ":
        return at + 1 < len(text) and left not in OPENERS and text[at + 1] not in NO_START
    if right in NO_START or left in OPENERS or left in _THAI_PREVOWELS or _continues(right):
        return False
    if not (is_unspaced(left) or is_unspaced(right)):
        return False
    if left == "\u200d" or left.isdecimal():
        return False
    if left in _CHINESE_NUMERALS and right in _CHINESE_NUMERALS:
        return False
    return not (_is_run(left) and _is_run(right))


def _is_run(char: str) -> bool:
    """Katakana and full-width letters, which make words of their own."""
    return "\u30a1" <= char <= "\u30fa" or char == "ー" or (
        "\uff10" <= char <= "\uff5a" and char.isalnum()
    )  # fmt: skip


def _continues(char: str) -> bool:
    return unicodedata.category(char)[0] == "M" or char in "\u200d\u0e33\u0eb3"


def _char_width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return _WIDE if is_wide(char) else _NARROW


def _fitting(text: str, begin: int, end: int) -> Iterator[Piece]:
    """``text[begin:end]`` as one piece, or cut into several when it is wider than a line."""
    has_space = text[begin] == " "
    begin += has_space
    if width(text[begin:end]) <= LINE_WIDTH:
        yield Piece(text[begin:end], has_space, begin, end)
        return
    start, used = begin, 0
    for at in range(begin, end):
        room = _char_width(text[at])
        if at > start and used + room > LINE_WIDTH and not _continues(text[at]):
            yield Piece(text[start:at], has_space, start, at, is_cut=True)
            start, used, has_space = at, 0, False
        used += room
    yield Piece(text[start:end], has_space, start, end)
