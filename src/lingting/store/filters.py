"""What lists and searches are narrowed by, as databases take it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import ColumnElement, select

from lingting.errors import OptionInvalid
from lingting.store.rows import storable
from lingting.store.schema import RecordingRow, TagRow

if TYPE_CHECKING:
    from lingting.store.hits import SearchFilters
    from lingting.store.listed import HistoryFilters

    Filters = TypeVar("Filters", SearchFilters, HistoryFilters)


def checked(filters: Filters) -> Filters:
    """What databases take. Raises OptionInvalid."""
    changed: dict[str, Any] = {
        name: storable(given)
        for name in ("language", "speaker", "tag", "owner", "department")
        if (given := getattr(filters, name)) is not None
    }
    for name in ("since", "until"):
        given = getattr(filters, name)
        if given is None:
            continue
        try:
            if given.tzinfo is None:
                raise OverflowError
            changed[name] = given.astimezone(UTC)
        except OverflowError as exc:
            raise OptionInvalid(
                f"{name} is no moment.", "Give a date with its time zone, of the years 2 to 9998."
            ) from exc
    return replace(filters, **changed)


def of_time(filters: SearchFilters | HistoryFilters, made: Any) -> list[ColumnElement[bool]]:
    """``made``: the column that says when a recording was kept."""
    tests = []
    if filters.since is not None:
        tests.append(made >= filters.since)
    if filters.until is not None:
        tests.append(made < filters.until)
    return tests


def of_length(filters: SearchFilters | HistoryFilters) -> list[ColumnElement[bool]]:
    """One whose length nobody knows passes none of them."""
    tests = []
    if filters.min_duration_s is not None:
        tests.append(RecordingRow.duration_s >= filters.min_duration_s)
    if filters.max_duration_s is not None:
        tests.append(RecordingRow.duration_s <= filters.max_duration_s)
    return tests


def is_tagged(tag: str) -> ColumnElement[bool]:
    ours = TagRow.recording_id == RecordingRow.id
    return select(TagRow.tag).where(ours, TagRow.tag == tag).exists()
