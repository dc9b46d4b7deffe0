"""What is compared when a hypothesis is scored: the normalised text and its units.

Both sides go through the same steps: compatibility forms and case folded, digits of any script to
0–9, apostrophes dropped, hyphens and other punctuation to spaces, Chinese to simplified characters,
spoken numbers to digits. Fillers stay: the rates are verbatim. Diacritics of Latin letters stay.

A unit is a character in scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) and
in Korean, whose published figures are character error rates because its spacing varies; it is a
word elsewhere. Text that mixes them is counted as it is mixed: 我用 python → 我, 用, python. Every
digit is a unit of its own, so that "nineteen eighty four", 19 84 and 1984 are the same four units.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Protocol

from lingting.evaluate.numbers import numbers_to_digits
from lingting.joining import is_unspaced
from lingting.languages import is_chinese

_CHARACTER_LANGUAGES = frozenset({"ja", "ko", "th", "lo", "km", "my"})
_ARABIC_SCRIPT = frozenset({"ar", "fa", "ur", "ps", "sd"})
_APOSTROPHES = re.compile("['’‘ʼʻ`´＇]")
_ARABIC_MARKS = re.compile("[\u0640\u064b-\u0652\u0670]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_INITIALS = re.compile(r"(?<![^\W\d_]{2})(?<=[^\W\d_])\.(?=[^\W\d_](?:\.|\b))")
_KEPT = frozenset("%$£€&")  # read aloud; numbers.py knows what they are called
_VARIANTS = str.maketrans("著妳", "着你")  # what OpenCC leaves: 享受著 is 享受着
_NUMBER_POINT = re.compile(r"(?<=\d)\.(?=\d)")


def normalise(text: str, language: str) -> str:
    """``text`` as it is scored in ``language`` (a BCP 47 tag): words or runs, one space between."""
    primary = language.split("-")[0]
    text = _ascii_digits(unicodedata.normalize("NFKC", text).casefold())
    text = _APOSTROPHES.sub("", text)
    if primary in _ARABIC_SCRIPT:
        text = _ARABIC_MARKS.sub("", text)
    text = _THOUSANDS.sub("", text)
    text = _INITIALS.sub("", text)
    text = _without_punctuation(text)
    if is_chinese(primary):
        text = _simplifier().convert(text).translate(_VARIANTS)
    if primary in _CHARACTER_LANGUAGES or is_chinese(primary):
        text = _without_inner_spaces(text)
    return " ".join(numbers_to_digits(text, language).split())


def units(text: str, language: str) -> list[str]:
    """What is counted: characters and words of the normalised ``text``, each digit by itself."""
    found: list[str] = []
    word = ""
    for char in normalise(text, language):
        if char != " " and not _stands_alone(char):
            word += char
            continue
        if word:
            found.append(word)
            word = ""
        if char != " ":
            found.append(char)
    return [*found, word] if word else found


def metric(language: str) -> str:
    """``CER`` where characters are counted, ``WER`` where words are."""
    primary = language.split("-")[0]
    return "CER" if primary in _CHARACTER_LANGUAGES or is_chinese(primary) else "WER"


def _stands_alone(char: str) -> bool:
    return char.isdecimal() or is_unspaced(char) or _is_hangul(char) or char in _KEPT


def _is_hangul(char: str) -> bool:
    return "\uac00" <= char <= "\ud7a3" or "\u1100" <= char <= "\u11ff"


def _ascii_digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)


def _without_punctuation(text: str) -> str:
    points = {match.start() for match in _NUMBER_POINT.finditer(text)}
    return "".join(
        " " if unicodedata.category(char)[0] in "PSZC" and not (char in _KEPT or at in points)
        else char
        for at, char in enumerate(text)
    )  # fmt: skip


def _without_inner_spaces(text: str) -> str:
    """Spaces beside a character that stands alone go, so that 一 百 is one number."""
    joined = ""
    for word in text.split():
        beside = bool(joined) and (_is_dense(joined[-1]) or _is_dense(word[0]))
        joined += word if beside or not joined else f" {word}"
    return joined


def _is_dense(char: str) -> bool:
    return is_unspaced(char) or _is_hangul(char)


class _Converter(Protocol):
    def convert(self, text: str) -> str: ...


@cache
def _simplifier() -> _Converter:
    import opencc

    converter: _Converter = opencc.OpenCC("t2s")
    return converter
