"""Join pieces of text as their scripts ask: 你好 + 世界 → 你好世界, hello + world → hello world.

Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without spaces between words; everything
else takes one. Korean writes spaces. Full-width punctuation takes no space on either side.
"""

from __future__ import annotations

from collections.abc import Iterable

# Blocks whose neighbours are written without a space. Hangul is left out on purpose.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # CJK radicals
    (0x3000, 0x30FF),  # CJK punctuation, kana
    (0x31F0, 0x31FF),  # kana extensions
    (0x3400, 0x4DBF),  # CJK extension A
    (0x4E00, 0x9FFF),  # CJK
    (0xF900, 0xFAFF),  # CJK compatibility
    (0xFE30, 0xFE4F),  # CJK compatibility forms
    (0xFF00, 0xFFEF),  # full-width forms
    (0x20000, 0x323AF),  # CJK extensions B–H
)
_NO_SPACE_BEFORE = frozenset(",.!?;:%)]}’”»…，。！？；：、）】》」』％")


def is_unspaced(char: str) -> bool:
    """True for a character of a script that puts no spaces between words."""
    code = ord(char)
    return any(low <= code <= high for low, high in _UNSPACED)


def join(pieces: Iterable[str]) -> str:
    """One text from ``pieces``; empty ones vanish, outer white space is dropped."""
    text = ""
    for piece in pieces:
        piece = piece.strip()
        if not piece:
            continue
        if text and _wants_space(text[-1], piece[0]):
            text += " "
        text += piece
    return text


def _wants_space(left: str, right: str) -> bool:
    if right in _NO_SPACE_BEFORE:
        return False
    # A Latin word beside a Chinese character: Chinese style in ASR output is no space.
    return not (is_unspaced(left) or is_unspaced(right))
