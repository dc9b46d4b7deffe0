"""Words that hold numerals and stay as they are spoken; longest match."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources


class Lexicon:
    """A set of words with longest-match search at a position."""

    def __init__(self, words: Iterable[str]) -> None:
        by_start: dict[str, set[str]] = {}
        for word in words:
            by_start.setdefault(word[0], set()).add(word)
        self.words = frozenset(word for group in by_start.values() for word in group)
        self._by_start = {
            char: tuple(sorted(group, key=len, reverse=True)) for char, group in by_start.items()
        }

    def match(self, text: str, start: int) -> int:
        """End of the longest word that begins at ``start``; ``start`` itself when there is none."""
        for word in self._by_start.get(text[start], ()):
            if text.startswith(word, start):
                return start + len(word)
        return start


def read_lexicon(name: str) -> Lexicon:
    """The packaged list ``data/<name>.txt``: words separated by white space, ``#`` comments."""
    return Lexicon(word for line in _lines(name) for word in line.split())


def read_phrases(name: str) -> Lexicon:
    """The same for lists whose entries hold spaces: one phrase a line."""
    return Lexicon(line.strip() for line in _lines(name))


def read_folding(name: str) -> dict[int, str]:
    """A table for ``str.translate`` from pairs of characters such as 萬万, one to one in length."""
    pairs = [pair for line in _lines(name) for pair in line.split()]
    return {ord(pair[0]): pair[1] for pair in pairs}


def vocabulary(words: str) -> frozenset[str]:
    """A set of words separated by spaces, for the short lists inside a grammar."""
    return frozenset(words.split())


def _lines(name: str) -> list[str]:
    text = resources.files(__package__).joinpath("data", f"{name}.txt").read_text("utf-8")
    lines = (line.partition("#")[0] for line in text.splitlines())
    return [line for line in lines if line.strip()]
