"""What of a segment goes into the index: terms without places.

- each unit, and each two neighbours of unspaced scripts together: 中国人 has 中, 国, 人, 中国 and
  国人. So every piece of Chinese is found, whatever words a dictionary would cut it into.
- each two neighbours that sound, as a pair of syllables: 中国 and 种过 have the same.
- the segment's language and speaker, so that a filter is answered from the index.

The index narrows down, and ``query`` then compares the text itself: 国人中国 has all pairs of
中国人 but one, and would be told apart anyway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

from lingting.search.folding import Units, is_single

MAX_TERM_CHARS = 64
_SOUND = 0xE000
_LANGUAGE, _SPEAKER = "\uf8f0", "\uf8f1"
"""Of the private use area, like syllables: no unit of a text begins so."""


def terms_of(
    units: Units, sounds: Sequence[int] | None, *, language: str | None, speaker: str | None
) -> list[str]:
    """Every term of a segment, once, in a fixed order. ``sounds``: one a unit, None unknown."""
    found = dict.fromkeys(unit[:MAX_TERM_CHARS] for unit in units.texts)
    texts = units.texts
    singles = [is_single(one[0]) for one in texts]
    for at in range(1, len(texts)):
        if singles[at - 1] and singles[at]:
            found[texts[at - 1] + texts[at]] = None
    if sounds:
        for left, right in pairwise(sounds):
            if left and right:
                found[sound_term(left, right)] = None
    if language is not None:
        found[language_term(language)] = None
    if speaker is not None:
        found[speaker_term(speaker)] = None
    return list(found)


def sound_term(left: int, right: int) -> str:
    """Two syllables, one behind the other."""
    return chr(_SOUND + left) + chr(_SOUND + right)


def language_term(language: str) -> str:
    return (_LANGUAGE + "".join(filter(str.isalnum, language.casefold())))[:MAX_TERM_CHARS]


def speaker_term(speaker: str) -> str:
    """A name may hold anything; its digest is a word."""
    return _SPEAKER + hashlib.sha256(speaker.encode()).hexdigest()[:12]


def wanted_terms(units: Sequence[str | int]) -> Iterator[str]:
    """Terms that every segment has which holds these units (syllables as numbers) in a row."""
    for at, unit in enumerate(units):
        before = units[at - 1] if at else None
        after = units[at + 1] if at + 1 < len(units) else None
        if isinstance(unit, int):
            if isinstance(before, int):
                yield sound_term(before, unit)
        elif not is_single(unit[0]):
            yield unit[:MAX_TERM_CHARS]
        elif _pairs(before):
            yield str(before) + unit
        elif not _pairs(after):
            yield unit


def _pairs(unit: str | int | None) -> bool:
    return isinstance(unit, str) and is_single(unit[0])
