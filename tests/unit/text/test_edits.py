"""Edit lists: applied, aligned, chained."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lingting.text.edits import Change, Written, align, apply_changes, compose, is_linked
from lingting.transcript import Edit

ALPHABET = "ab一二"


@st.composite
def changed(draw: st.DrawFn, source: str, kind: str) -> Written:
    """``source`` after random disjoint changes: replacements, insertions and deletions."""
    cuts = draw(st.lists(st.integers(0, len(source)), max_size=6).map(sorted))
    changes = [
        Change(start, end, draw(st.text(ALPHABET, max_size=3)))
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    return apply_changes(source, changes, kind)


@st.composite
def chains(draw: st.DrawFn) -> tuple[str, Written, Written, Written]:
    source = draw(st.text(ALPHABET, max_size=12))
    first = draw(changed(source, "script"))
    second = draw(changed(first.text, "itn"))
    third = draw(changed(second.text, "hotword"))
    return source, first, second, third


@given(chains())
def test_composition_is_linked(chain: tuple[str, Written, Written, Written]) -> None:
    source, first, second, third = chain
    for text, written in ((source, first), (first.text, second), (second.text, third)):
        assert is_linked(text, written)
    both = compose(first.edits, second.edits)
    assert is_linked(source, Written(second.text, both))
    assert is_linked(source, Written(third.text, compose(both, third.edits)))


@given(chains())
def test_composition_with_nothing_is_the_same_span_list(
    chain: tuple[str, Written, Written, Written],
) -> None:
    source, first, _, _ = chain
    assert is_linked(source, Written(first.text, compose(first.edits, ())))
    assert is_linked(source, Written(first.text, compose((), first.edits)))


@given(st.text(ALPHABET, max_size=12), st.text(ALPHABET, max_size=12))
def test_alignment_is_linked(source: str, target: str) -> None:
    written = align(source, target, "script")
    assert written.text == target
    assert is_linked(source, written)


def test_changes_that_change_nothing_leave_no_edit() -> None:
    assert apply_changes("abc", [Change(0, 1, "a")], "itn") == Written("abc")


def test_meeting_edits_become_one_and_name_both_steps() -> None:
    first = (Edit(1, 2, 1, 2, "script"), Edit(5, 6, 5, 6, "script"))
    second = (Edit(0, 3, 0, 1, "itn"),)
    assert compose(first, second) == (
        Edit(0, 3, 0, 1, "script+itn"),
        Edit(5, 6, 3, 4, "script"),
    )


def test_neighbours_stay_apart() -> None:
    first, second = (Edit(0, 1, 0, 1, "script"),), (Edit(1, 2, 1, 2, "itn"),)
    assert compose(first, second) == (*first, *second)


def test_unlinked_lists_are_told() -> None:
    assert not is_linked("ab", Written("xb"))
    assert not is_linked("ab", Written("ab", (Edit(1, 2, 1, 2, "itn"), Edit(0, 1, 0, 1, "itn"))))
    assert not is_linked("ab", Written("ab", (Edit(1, 3, 1, 2, "itn"),)))
