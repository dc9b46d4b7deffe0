"""Words of the written text, with the times of the spoken words they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lingting.text.edits import Written
from lingting.transcript import Edit, Word

_SEARCH_CHARS = 40  # how far ahead a word is looked for, so that one odd word loses no others


def written_words(spoken: str, words: Sequence[Word], written: Written) -> tuple[Word, ...]:
    """Words as they stand in ``written.text``.

    A word that no edit touches stays as it is. The words under one edit become one word from the
    start of the first to the end of the last, with the lowest of their confidences; it may hold
    spaces ("March 15, 2025"). A word that ``spoken`` does not hold is kept unchanged, one that an
    edit removed entirely is dropped.
    """
    result: list[Word] = []
    group: list[tuple[Word, int, int]] = []
    edits = [edit for edit in written.edits if edit.spoken_start < edit.spoken_end]
    for word, start, end in _locate(spoken, words):
        if group and not (start >= 0 and _is_bridged(edits, group[-1][2], start)):
            result += _flush(group, written)
            group = []
        if start < 0:
            result.append(word)
        else:
            group.append((word, start, end))
    return tuple(result + _flush(group, written))


def _locate(spoken: str, words: Sequence[Word]) -> list[tuple[Word, int, int]]:
    """Each word with its span in ``spoken``, or -1, -1."""
    located: list[tuple[Word, int, int]] = []
    cursor = 0
    for word in words:
        start = -1
        if word.text:
            start = spoken.find(word.text, cursor, cursor + len(word.text) + _SEARCH_CHARS)
        end = -1 if start < 0 else start + len(word.text)
        located.append((word, start, end))
        cursor = max(cursor, end)
    return located


def _is_bridged(edits: Sequence[Edit], left_end: int, right_start: int) -> bool:
    """True when one edit reaches into both neighbours."""
    return any(e.spoken_start < left_end and e.spoken_end > right_start for e in edits)


def _flush(group: Sequence[tuple[Word, int, int]], written: Written) -> list[Word]:
    if not group:
        return []
    first, last = group[0][0], group[-1][0]
    text = _text_of(group[0][1], group[-1][2], written)
    if not text:
        return []
    if len(group) == 1:
        return [replace(first, text=text)]
    known = [word.confidence for word, _, _ in group if word.confidence is not None]
    return [Word(text, first.start_s, last.end_s, min(known) if known else None)]


def _text_of(start: int, end: int, written: Written) -> str:
    """What ``spoken[start:end]`` became; an edit reaching over the border counts whole."""
    text_start, text_end = start, end
    for edit in written.edits:
        growth = edit.text_end - edit.spoken_end
        if edit.spoken_end <= start:
            text_start, text_end = start + growth, end + growth
        elif edit.spoken_start < end:
            if edit.spoken_start <= start:
                text_start = edit.text_start
            text_end = max(end, edit.spoken_end) + growth
    return written.text[text_start:text_end].strip()
