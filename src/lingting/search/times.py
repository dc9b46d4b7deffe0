"""When a piece of a segment's text was said, where its words have times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lingting.transcript import Edit, Segment, Word

_AHEAD_CHARS = 40
"""How far ahead a word is looked for, so that one odd word loses no others."""


def times_of(segment: Segment, start: int, end: int) -> tuple[float, float] | None:
    """Begin and end of the words of ``text[start:end]``, in seconds; None where none has a time.

    Words belong to the spoken text and are reached through the edits. Where those do not link the
    two texts, as after a person's correction, words that still stand in the text keep their times.
    """
    if not segment.words:
        return None
    text = segment.text
    if _are_linked(segment):
        start, end = _spoken(segment.edits, start, end)
        text = segment.spoken
    found = [
        word
        for word, at in _placed(text, segment.words)
        if at < end and at + len(word.text) > start
    ]
    return (found[0].start_s, found[-1].end_s) if found else None


def _are_linked(segment: Segment) -> bool:
    """Between the edits, both texts are equal."""
    spoken_at = text_at = 0
    for edit in segment.edits:
        if segment.spoken[spoken_at : edit.spoken_start] != segment.text[text_at : edit.text_start]:
            return False
        spoken_at, text_at = edit.spoken_end, edit.text_end
    return segment.spoken[spoken_at:] == segment.text[text_at:]


def _spoken(edits: Sequence[Edit], start: int, end: int) -> tuple[int, int]:
    """The stretch of the spoken text that ``start:end`` came from; an edit counts whole."""
    first, last = start, end
    for edit in edits:
        shift = edit.spoken_end - edit.text_end
        if edit.text_end <= start:
            first = start + shift
        elif edit.text_start <= start:
            first = edit.spoken_start
        if edit.text_end <= end:
            last = end + shift
        elif edit.text_start < end:
            last = edit.spoken_end
    return first, last


def _placed(text: str, words: Sequence[Word]) -> Iterator[tuple[Word, int]]:
    """Each word that the text holds, with where it begins."""
    cursor = 0
    for word in words:
        at = text.find(word.text, cursor, cursor + len(word.text) + _AHEAD_CHARS)
        if word.text and at >= 0:
            cursor = at + len(word.text)
            yield word, at
