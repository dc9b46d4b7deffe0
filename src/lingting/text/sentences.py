"""Cut one clip's words into utterances that people read: sentences, or what lies between pauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lingting.transcript import Word

_SENTENCE_ENDS = frozenset("。！？.!?…")
_CLAUSE_ENDS = frozenset("，、；：,;:")
_CLOSERS = "”’\"'）)】]」』»"
_PAUSE_S = 0.7  # a pause that ends an utterance even without a mark
_LONG_S = 10.0  # beyond this a comma is good enough
_SHORTEST_S = 1.0  # what is shorter joins its neighbour: nobody can read it


@dataclass(frozen=True, slots=True)
class Utterance:
    """``spoken[start:end]`` and its words; times are the words' own."""

    start: int
    end: int
    words: tuple[Word, ...]


def utterances(spoken: str, words: Sequence[Word]) -> list[Utterance]:
    """Split ``spoken`` at its words. Every character lands in exactly one utterance.

    Without words, or when they do not spell the text, there is one utterance.
    """
    ends = _word_ends(spoken, words)
    if ends is None:
        return [Utterance(0, len(spoken), tuple(words))]
    found: list[Utterance] = []
    first = start = 0
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else None
        if following is None or _ends_here(word, following, words[first]):
            end = len(spoken) if following is None else ends[at]
            found.append(Utterance(start, end, tuple(words[first : at + 1])))
            first, start = at + 1, end
    return found


def _ends_here(word: Word, following: Word, first: Word) -> bool:
    length_s = word.end_s - first.start_s
    if length_s < _SHORTEST_S:
        return False
    if following.start_s - word.end_s >= _PAUSE_S:
        return True
    mark = word.text.rstrip(_CLOSERS)[-1:]
    return mark in _SENTENCE_ENDS or (mark in _CLAUSE_ENDS and length_s >= _LONG_S)


def _word_ends(spoken: str, words: Sequence[Word]) -> list[int] | None:
    """Where each word ends in the text, trailing space included; None when one is not there."""
    if not words:
        return None
    ends: list[int] = []
    cursor = 0
    for word in words:
        at = spoken.find(word.text, cursor)
        if at < 0:
            return None
        cursor = at + len(word.text)
        while cursor < len(spoken) and spoken[cursor].isspace():
            cursor += 1
        ends.append(cursor)
    return ends
