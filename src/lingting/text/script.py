"""Simplified and traditional Chinese, with edits that link the two layers.

The phrase dictionaries of OpenCC choose characters by context (头发 → 頭髮, 发展 → 發展) and, for
Taiwan and Hong Kong, may change words and their length (内存 → 記憶體).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

from lingting.errors import OptionInvalid
from lingting.text.edits import Written, align

if TYPE_CHECKING:
    from opencc import OpenCC

Script = Literal["simplified", "traditional"]
Variant = Literal["standard", "taiwan", "taiwan_words", "hong_kong"]

# (script, variant) → OpenCC configuration. "taiwan_words" also takes Taiwan's vocabulary.
_CONFIGURATIONS: dict[tuple[str, str], str] = {
    ("simplified", "standard"): "t2s",
    ("simplified", "taiwan"): "tw2s",
    ("simplified", "taiwan_words"): "tw2sp",
    ("simplified", "hong_kong"): "hk2s",
    ("traditional", "standard"): "s2t",
    ("traditional", "taiwan"): "s2tw",
    ("traditional", "taiwan_words"): "s2twp",
    ("traditional", "hong_kong"): "s2hk",
}


def convert(text: str, to: Script, variant: Variant = "standard") -> Written:
    """``text`` in the script asked for, with edits of kind ``script``.

    ``variant`` is the regional standard on the traditional side, whichever way the text goes.
    Text that is in that script already, and everything that is not Chinese, stays as it is. The
    dictionaries load on the first call (tens of ms) and stay loaded; calls from several threads
    are safe. Raises :class:`OptionInvalid` for another script or variant.
    """
    configuration = _CONFIGURATIONS.get((to, variant))
    if configuration is None:
        raise OptionInvalid(
            f"script is {to!r} with variant {variant!r}; allowed are simplified or traditional, "
            "and standard, taiwan, taiwan_words or hong_kong."
        )
    converted: str = _converter(configuration).convert(text)
    if converted == text:
        return Written(text)
    return align(text, converted, "script", _simplified)


def simplify(text: str, pieces: Sequence[str]) -> tuple[str, list[str]]:
    """``text`` in simplified characters, and the pieces of it, in order, spelled as in it."""
    converted: str = _converter("t2s").convert(text)
    if converted == text:
        return text, list(pieces)
    is_even = len(converted) == len(text)
    spelled, at = [], 0
    for piece in pieces:
        begin = text.find(piece, at)
        if is_even and begin >= 0:
            at = begin + len(piece)
            spelled.append(converted[begin:at])
        else:
            spelled.append(_converter("t2s").convert(piece))
    return converted, spelled


@cache
def _converter(configuration: str) -> OpenCC:
    from opencc import OpenCC

    return OpenCC(configuration)


@lru_cache(maxsize=16_384)
def _simplified(char: str) -> str:
    """The character both scripts are aligned by."""
    if char < "\u2e80":
        return char
    folded: str = _converter("t2s").convert(char)
    return folded
