"""Edits link two layers of text: made from replacements, from two finished texts, or by chaining.

An edit list is *linked* when its spans are ordered, do not overlap, and the characters between them
are equal in both layers. Everything here keeps that property, so a place in one layer can always be
followed into the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

from lingting.transcript import Edit


class Change(NamedTuple):
    """``source[start:end]`` becomes ``text``."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """The text a step made and how its spans map back to the text it was given."""

    text: str
    edits: tuple[Edit, ...] = ()


def apply_changes(source: str, changes: Iterable[Change], kind: str) -> Written:
    """The text after ``changes`` (ordered, disjoint); those that change nothing leave no edit."""
    pieces: list[str] = []
    edits: list[Edit] = []
    cursor = length = 0
    for change in changes:
        if source[change.start : change.end] == change.text:
            continue
        kept = source[cursor : change.start]
        start = length + len(kept)
        length = start + len(change.text)
        pieces += (kept, change.text)
        edits.append(Edit(change.start, change.end, start, length, kind))
        cursor = change.end
    pieces.append(source[cursor:])
    return Written("".join(pieces), tuple(edits))


def align(
    source: str, target: str, kind: str, fold: Callable[[str], str] = lambda char: char
) -> Written:
    """Edits that turn ``source`` into ``target``; characters are aligned by their ``fold``.

    Characters of equal fold are paired: 软件 → 軟件 becomes one edit of one character.
    A stretch without counterparts becomes one edit.
    """
    left = [fold(char) for char in source]
    right = [fold(char) for char in target]
    changes: list[Change] = []
    if len(left) == len(right) and sum(a != b for a, b in zip(left, right, strict=True)) <= 2:
        blocks = [("equal", 0, len(left), 0, len(right))]
    else:
        blocks = list(SequenceMatcher(None, left, right, autojunk=False).get_opcodes())
    for tag, i1, i2, j1, j2 in blocks:
        if tag != "equal":
            changes.append(Change(i1, i2, target[j1:j2]))
            continue
        changes += (
            Change(i1 + offset, i1 + offset + 1, target[j1 + offset])
            for offset in range(i2 - i1)
            if source[i1 + offset] != target[j1 + offset]
        )
    return apply_changes(source, changes, kind)


def is_linked(spoken: str, written: Written) -> bool:
    """True when the edits are ordered, disjoint, and all between them is equal in both layers."""
    spoken_at = text_at = 0
    for edit in written.edits:
        if not spoken_at <= edit.spoken_start <= edit.spoken_end <= len(spoken):
            return False
        if not text_at <= edit.text_start <= edit.text_end <= len(written.text):
            return False
        if spoken[spoken_at : edit.spoken_start] != written.text[text_at : edit.text_start]:
            return False
        spoken_at, text_at = edit.spoken_end, edit.text_end
    return spoken[spoken_at:] == written.text[text_at:]


@dataclass(slots=True)
class _Group:
    """Edits of both steps that touch one stretch ``start..end`` of the middle text."""

    start: int
    end: int
    first: list[Edit]
    second: list[Edit]


def compose(first: Sequence[Edit], second: Sequence[Edit]) -> tuple[Edit, ...]:
    """One edit list from the first step's source to the second step's text.

    ``first`` leads from A to B, ``second`` from B to C; the result leads from A to C. Edits that
    meet in B become one, whose kind names both steps in order, such as ``script+itn``.
    """
    edits: list[Edit] = []
    grown_first = grown_second = 0  # how much longer B is than A, and C than B, so far
    for group in _groups(first, second):
        spoken_start = group.start - grown_first
        text_start = group.start + grown_second
        grown_first += sum(_growth(edit) for edit in group.first)
        grown_second += sum(_growth(edit) for edit in group.second)
        edits.append(
            Edit(
                spoken_start,
                group.end - grown_first,
                text_start,
                group.end + grown_second,
                _kind(group.first + group.second),
            )
        )
    return tuple(edits)


def _groups(first: Sequence[Edit], second: Sequence[Edit]) -> list[_Group]:
    spans = [(e.text_start, e.text_end, 0, e) for e in first]
    spans += [(e.spoken_start, e.spoken_end, 1, e) for e in second]
    groups: list[_Group] = []
    for start, end, step, edit in sorted(spans, key=lambda span: span[:3]):
        last = groups[-1] if groups else None
        # An empty span at another's border has no side of its own: it joins.
        is_empty = start == end or (last is not None and last.start == last.end)
        if last is None or start > last.end or (start == last.end and not is_empty):
            last = _Group(start, end, [], [])
            groups.append(last)
        last.end = max(last.end, end)
        (last.second if step else last.first).append(edit)
    return groups


def _growth(edit: Edit) -> int:
    return (edit.text_end - edit.text_start) - (edit.spoken_end - edit.spoken_start)


def _kind(edits: Sequence[Edit]) -> str:
    names = (name for edit in edits for name in edit.kind.split("+"))
    return "+".join(dict.fromkeys(names))
