"""What is searched: parsed from what somebody typed, and compared with a segment's text.

- Words with spaces between them are all to be in one segment, in any order.
- Chinese in one piece, and whatever stands in quotes, is a phrase: its units in a row.
- By sound, Chinese is what it sounds like, and letters are pinyin where they can be read as such:
  zhongguo, zhong guo, zhōngguó and 中国 are one.

A query never leaves this process but as terms for the index: it is as private as what was said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lingting.errors import OptionInvalid
from lingting.search import sounds
from lingting.search.folding import Units, is_han, units_of
from lingting.search.terms import wanted_terms

Match = Literal["text", "sound"]
Phrase = tuple[str | int, ...]
"""Units in a row; a number is a syllable."""

MAX_QUERY_CHARS = 200
_MAX_TERMS = 16
_LONG_RUN = 3
"""Chinese of so many characters may be several words."""
_QUOTED = re.compile(r"[\"“”„«「『]([^\"“”„«»「」『』]*)[\"“”»」』]?|([^\s\"“”„«»「」『』]+)")


@dataclass(frozen=True, slots=True)
class Term:
    """One of the things that a segment must hold, in one of several ways."""

    ways: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a segment's text holds something: code points, the end is behind the last."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Query:
    """All of ``terms``, in any order."""

    terms: tuple[Term, ...]
    match: Match = "text"

    @property
    def needs_sounds(self) -> bool:
        return any(isinstance(unit, int) for one in self.terms for way in one.ways for unit in way)

    def wanted(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """All of: any of: all of these terms of the index."""
        return tuple(
            tuple(tuple(dict.fromkeys(wanted_terms(way))) for way in term.ways)
            for term in self.terms
        )

    def places(self, units: Units, heard: Sequence[int] | None) -> tuple[Place, ...]:
        """Where a text with these units, and syllables, matches; nothing if a term is missing."""
        found: list[tuple[int, int]] = []
        for term in self.terms:
            spans = [span for way in term.ways for span in _spans(way, units.texts, heard)]
            if not spans:
                return ()
            found += spans
        places: list[Place] = []
        for first, last in sorted(set(found)):
            start, end = units.starts[first], units.ends[last]
            if places and start < places[-1].end:
                places[-1] = Place(places[-1].start, max(end, places[-1].end))
            else:
                places.append(Place(start, end))
        return tuple(places)


def parse_query(typed: str, match: Match = "text") -> Query:
    """Raises OptionInvalid for what holds nothing to search, or too much; ExtraMissing."""
    if len(typed) > MAX_QUERY_CHARS:
        raise OptionInvalid(
            f"The search has {len(typed)} characters; {MAX_QUERY_CHARS} are allowed.",
            "Search for a part of it.",
        )
    pieces = [
        (quoted or plain, bool(quoted))
        for quoted, plain in _QUOTED.findall(typed)
        if quoted or plain
    ]
    found = tuple(_by_sound(pieces) if match == "sound" else _by_text(pieces))
    if not found:
        if match == "sound" and len(units_of(typed)):
            raise OptionInvalid("One syllable is searched for.", "Give two syllables or more.")
        raise OptionInvalid(
            "Nothing is searched for.", "Give at least one letter, digit or character."
        )
    if len(found) > _MAX_TERMS:
        raise OptionInvalid(f"{len(found)} words are searched for; {_MAX_TERMS} are allowed.")
    return Query(tuple(dict.fromkeys(found)), match)


def loosened(typed: str) -> Query | None:
    """The same with Chinese cut into words, each anywhere in the segment; None: it stays as it is.

    退款流程 then finds 流程里怎么退款. Quotes stay phrases. The words are those of rjieba; without
    it, there is nothing to loosen.
    """
    pieces = [
        (piece, is_phrase)
        for quoted, plain in _QUOTED.findall(typed)
        for piece, is_phrase in (
            [(quoted, True)] if quoted else [(one, False) for one in _cut(plain)]
        )
    ]
    found = tuple(dict.fromkeys(_by_text(pieces)))
    if not found or len(found) > _MAX_TERMS or found == parse_query(typed).terms:
        return None
    return Query(found)


def _cut(piece: str) -> list[str]:
    if sum(map(is_han, piece)) < _LONG_RUN:
        return [piece]
    try:
        import rjieba
    except ImportError:
        return [piece]
    return list(rjieba.cut(piece))


def _by_text(pieces: list[tuple[str, bool]]) -> Iterator[Term]:
    for piece, _ in pieces:
        units = units_of(piece).texts
        if units:
            yield Term((units,))


def _by_sound(pieces: list[tuple[str, bool]]) -> Iterator[Term]:
    sounds.require_sounds()
    syllables: list[str] = []  # typed one by one: zhong guo
    for piece, is_phrase in pieces:
        ways = sounds.typed_ways(piece)
        if ways and not is_phrase and len(ways[0]) == 1:
            syllables.append(piece)
            continue
        yield from _syllables(syllables)
        syllables = []
        written = units_of(piece).texts
        if ways:
            yield Term(tuple(dict.fromkeys((*(way for way in ways if len(way) > 1), written))))
        elif written:
            yield Term((_heard(written),))
    yield from _syllables(syllables)


def _syllables(typed: list[str]) -> Iterator[Term]:
    if len(typed) == 1:
        if typed[0].isascii():
            yield Term((units_of(typed[0]).texts,))  # may be a word of another language
    elif typed:
        yield Term((tuple(unit for one in typed for unit in sounds.typed_ways(one)[0]),))


def _heard(written: tuple[str, ...]) -> Phrase:
    """Units as they sound; one alone stays as it is written, because too much sounds like it."""
    if len(written) == 1:
        return written
    heard = sounds.sounds_of(written)
    return tuple(sound or unit for unit, sound in zip(written, heard, strict=True))


def _spans(
    way: Phrase, texts: Sequence[str], heard: Sequence[int] | None
) -> Iterator[tuple[int, int]]:
    """First and last unit of each place that holds the phrase."""
    size = len(way)
    for first in range(len(texts) - size + 1):
        for at, unit in enumerate(way, first):
            if isinstance(unit, str):
                if texts[at] != unit:
                    break
            elif heard is None or at >= len(heard) or heard[at] != unit:
                break
        else:
            yield first, first + size - 1
