"""``lingting history list``, and ``values`` that it can be narrowed by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.options import (
    Department,
    Json,
    Limit,
    MaxLength,
    MinLength,
    Owner,
    Since,
    Tag,
    Until,
    Verbose,
)
from lingting.cli.output import Output, local_time
from lingting.cli.search import date_of

if TYPE_CHECKING:
    from lingting.store import Facet, History, HistoryFilters, HistoryPlace, Recording

_EXCERPT_CHARS = 40
_PAGE = 500


class State(StrEnum):
    queued = "queued"
    running = "running"
    paused = "paused"
    done = "done"
    failed = "failed"
    cancelled = "cancelled"
    none = "none"


class Sorting(StrEnum):
    newest = "newest"
    oldest = "oldest"
    name_ = "name"  # an enumeration has a name of its own
    longest = "longest"
    shortest = "shortest"


def list_(
    limit: Limit = 20,
    order: Annotated[Sorting, typer.Option("--order", help="What comes first.")] = Sorting.newest,
    since: Since = None,
    until: Until = None,
    language: Annotated[
        str | None, typer.Option("--language", "-l", help="Of the transcript, such as zh.")
    ] = None,
    speaker: Annotated[str | None, typer.Option("--speaker", help="Who is named in it.")] = None,
    tag: Tag = None,
    state: Annotated[
        list[State] | None,
        typer.Option("--state", help="Of the newest job, none without one; repeatable."),
    ] = None,
    owner: Owner = None,
    department: Department = None,
    min_length: MinLength = None,
    max_length: MaxLength = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Those that were deleted.")] = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """The recordings that were kept, the newest first.

    \b
    Examples:
      lingting history list --limit 100 --tag lectures
      lingting history list --state failed --since 2026-11-01 --order longest
    """
    out = Output(verbose=verbose)

    def work() -> int:
        from lingting.store import HistoryFilters

        filters = HistoryFilters(
            since=date_of(since), until=date_of(until), language=language, speaker=speaker,
            tag=tag, states=cast(Any, tuple(one.value for one in state or ())), owner=owner,
            department=department, min_duration_s=min_length, max_duration_s=max_length,
            is_deleted=deleted,
        )  # fmt: skip
        return _list(out, filters, order.value, limit, json)

    raise typer.Exit(exit_code_of(out, work))


def values(json: Json = False, verbose: Verbose = False) -> None:
    """Languages, tags, speakers, owners and departments that the history can be narrowed by.

    \b
    Example:
      lingting history values
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _values(out, json)))


def _list(output: Output, filters: HistoryFilters, order: str, limit: int, json: bool) -> int:
    from lingting.store import History, open_store

    with open_store() as store:
        found = _all(History(store.database), filters, order, min(limit, _PAGE))
        recordings = list(islice(found, limit))
    header = ("id", "kept", "length", "state", "language", "tags", "name", "text")
    output.listing(recordings, header, _row, as_json=json)
    return DONE


def _row(one: Recording) -> Sequence[str]:
    return (
        one.id, local_time(one.created_at), _length(one), _state(one), one.language or "",
        ", ".join(one.tags), one.name, one.excerpt[:_EXCERPT_CHARS],
    )  # fmt: skip


def _all(history: History, filters: HistoryFilters, order: str, size: int) -> Iterator[Recording]:
    after: HistoryPlace | None = None
    while True:
        page = history.page(filters, order=cast(Any, order), limit=size, after=after)
        yield from page.items
        after = page.next
        if after is None:
            return


def _values(output: Output, json: bool) -> int:
    from lingting.store import History, open_store

    with open_store() as store:
        facets = History(store.database).facets()
    kinds: dict[str, Facet] = {
        "language": facets.languages, "tag": facets.tags, "speaker": facets.speakers,
        "owner": facets.owners, "department": facets.departments,
    }  # fmt: skip
    told = [(kind, one.value, one.count) for kind, facet in kinds.items() for one in facet.items]
    if json:
        for kind, value, count in told:
            output.record({"kind": kind, "value": value, "count": count})
    else:
        output.table(
            ("narrow by", "value", "recordings"),
            [(f"--{kind}", value, str(count)) for kind, value, count in told],
        )
    for kind, facet in kinds.items():
        if not facet.is_complete:
            output.note(f"there are more values of --{kind} than these")
    return DONE


def _length(recording: Recording) -> str:
    from lingting.cli.display import clock

    return "" if recording.duration_s is None else clock(recording.duration_s)


def _state(recording: Recording) -> str:
    """Of the newest job; one that is done needs no word."""
    if recording.job is None or recording.job.state == "done":
        return ""
    return recording.job.state
