"""The words of a stored segment, read when somebody looks at them.

Opening a transcript of 5,000 segments makes 80,000 words: three quarters of the time it takes, for
values that most readers (a page, a search, a text export) never look at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Self, SupportsIndex, overload

from lingting.transcript import Segment, Word


class StoredWords(tuple[Word, ...]):
    """A tuple of words, parsed from its stored JSON at the first look.

    It equals and hashes like the plain tuple, and whatever is made of it (a slice, a sum, a copy,
    a pickle) is one. Its only item in C is a box with the JSON or the words, so each way to look
    at it is defined here.
    """

    __slots__ = ()

    def __new__(cls, words: Iterable[Word] = ()) -> Self:
        """A plain tuple: ``dataclasses`` rebuild what they convert by calling its type."""
        return tuple(words)  # type: ignore[return-value,unused-ignore]

    def plain(self) -> tuple[Word, ...]:
        """The words themselves."""
        box: Any = super().__getitem__(0)
        if isinstance(held := box[0], str):  # two threads may both parse; they get equal words
            held = box[0] = tuple([Word(*one) for one in json.loads(held)])
        words: tuple[Word, ...] = held
        return words

    def __len__(self) -> int:
        return len(self.plain())

    def __iter__(self) -> Iterator[Word]:
        return iter(self.plain())

    @overload
    def __getitem__(self, at: SupportsIndex) -> Word: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Word, ...]: ...

    def __getitem__(self, at: SupportsIndex | slice) -> Word | tuple[Word, ...]:
        return self.plain()[at]

    def __contains__(self, word: object) -> bool:
        return word in self.plain()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and self.plain() == _plain(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return self.plain() < _plain(other)

    def __le__(self, other: tuple[Any, ...]) -> bool:
        return self.plain() <= _plain(other)

    def __gt__(self, other: tuple[Any, ...]) -> bool:
        return self.plain() > _plain(other)

    def __ge__(self, other: tuple[Any, ...]) -> bool:
        return self.plain() >= _plain(other)

    def __hash__(self) -> int:
        return hash(self.plain())

    def __repr__(self) -> str:
        return repr(self.plain())

    def __add__(self, other: tuple[Any, ...]) -> tuple[Any, ...]:
        return self.plain() + _plain(other)

    def __radd__(self, other: tuple[Any, ...]) -> tuple[Any, ...]:
        return _plain(other) + self.plain()

    def __mul__(self, times: SupportsIndex) -> tuple[Word, ...]:
        return self.plain() * times

    __rmul__ = __mul__

    def count(self, word: Any) -> int:
        return self.plain().count(word)

    def index(self, word: Any, *within: SupportsIndex) -> int:
        return self.plain().index(word, *within)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return tuple, (list(self.plain()),)


def stored_words(json: str) -> StoredWords:
    """Words of ``[[text, start_s, end_s, confidence], ...]``."""
    return tuple.__new__(StoredWords, ([json],))


def _plain(other: tuple[Any, ...]) -> tuple[Any, ...]:
    return other.plain() if isinstance(other, StoredWords) else other


def words_json(segment: Segment) -> list[list[Any]]:
    """What ``stored_words`` reads, before it is written as JSON."""
    return [[word.text, word.start_s, word.end_s, word.confidence] for word in segment.words]
