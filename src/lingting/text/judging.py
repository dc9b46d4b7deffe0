"""The language of a text, as far as its script tells: for models that write without naming it.

Kana, Hangul, Thai and others belong to one language each among those a recogniser knows. Latin
letters belong to many; they are a language only for a model that knows no other one written so.
"""

from __future__ import annotations

import unicodedata
from collections import Counter

_SCRIPTS = {
    "CJK": "han", "HIRAGANA": "kana", "KATAKANA": "kana", "HANGUL": "hangul", "LATIN": "latin",
    "THAI": "thai", "ARABIC": "arabic", "DEVANAGARI": "devanagari", "GREEK": "greek",
    "CYRILLIC": "cyrillic",
}  # fmt: skip
_WRITTEN_IN = {
    "hangul": ("ko",),
    "thai": ("th",),
    "arabic": ("ar", "fa", "ur"),
    "devanagari": ("hi", "mr", "ne", "sa"),
    "greek": ("el",),
    "cyrillic": ("bg", "ru", "uk", "be", "sr", "mk", "kk", "mn", "tg", "tt", "ba"),
}
# Languages that are not written in Latin letters; whatever else a model knows, is.
_NOT_LATIN = frozenset({"zh", "yue", "wuu", "nan", "hsn", "hak", "gan", "cjy", "ja"}) | {
    code for codes in _WRITTEN_IN.values() for code in codes
}
_KANA_SHARE = 0.15  # Japanese has more kana than that even in headlines; Chinese has none
_LETTERS_PER_WORD = 4  # a Chinese character weighs as much as so many Latin letters


def language_of_text(text: str, known: frozenset[str]) -> str | None:
    """ISO code of the only language among ``known`` that is written like ``text``, else None.

    Han characters without kana are ``zh``: they do not tell the Chinese varieties apart.
    """
    counts = Counter(filter(None, map(_script, text)))
    if not counts:
        return None
    ideographs = counts["han"] + counts["kana"]
    weights = {name: count / _LETTERS_PER_WORD for name, count in counts.items()}
    weights |= {"han": float(ideographs), "kana": 0.0}
    script = max(weights, key=lambda name: weights[name])
    if script == "han":
        is_japanese = counts["kana"] > _KANA_SHARE * ideographs
        candidates = {"ja"} if is_japanese else {"zh"}
    elif script == "latin":
        candidates = set(known) - _NOT_LATIN
    else:
        candidates = set(_WRITTEN_IN.get(script, ()))
    fitting = candidates & known
    return fitting.pop() if len(fitting) == 1 else None


def _script(char: str) -> str | None:
    if not char.isalpha():
        return None
    return _SCRIPTS.get(unicodedata.name(char, "").partition(" ")[0])
