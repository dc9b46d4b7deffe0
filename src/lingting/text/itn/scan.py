"""Walk over unspaced text: at each place the rule or the fixed word that reaches furthest wins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lingting.text.edits import Change
from lingting.text.itn.lexicon import Lexicon


class Match(NamedTuple):
    """A rule's finding: it takes the text up to ``end`` and makes ``changes`` in it."""

    end: int
    changes: tuple[Change, ...] = ()
    beats_words: bool = False
    """Wins over a fixed word of the same length."""


Rule = Callable[[str, int], Match | None]


def scan(text: str, rules: Sequence[Rule], starts: frozenset[str], words: Lexicon) -> list[Change]:
    """All changes, in order. Rules are asked only where a character of ``starts`` stands."""
    changes: list[Change] = []
    position = 0
    while position < len(text):
        word_end = words.match(text, position)
        match = _first(rules, text, position) if text[position] in starts else None
        if match is not None and (
            match.end > word_end or (match.end == word_end and match.beats_words)
        ):
            changes += match.changes
            position = match.end
        else:
            position = max(word_end, position + 1)
    return changes


def _first(rules: Sequence[Rule], text: str, position: int) -> Match | None:
    for rule in rules:
        match = rule(text, position)
        if match is not None:
            return match
    return None
