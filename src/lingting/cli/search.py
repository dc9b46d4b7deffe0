"""``lingting search``: in the history of this machine, or of a service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting.cli.asking import Key, connect
from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.options import (
    Department,
    Json,
    MaxLength,
    MinLength,
    Owner,
    Since,
    Tag,
    Until,
    Verbose,
)
from lingting.cli.output import Output
from lingting.errors import OptionInvalid

if TYPE_CHECKING:
    from lingting.store import FoundRecording, FoundSegment, Recording, SearchPage

_PAGE = 50


def search(
    text: Annotated[str, typer.Argument(help="What was said.", show_default=False)],
    sound: Annotated[
        bool, typer.Option("--sound", help="By sound: homophones, and pinyin such as zhongguo.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Recordings at most.")] = 20,
    hits: Annotated[
        int, typer.Option("--hits", min=1, max=20, help="Segments of each recording at most.")
    ] = 3,
    since: Since = None,
    until: Until = None,
    language: Annotated[
        str | None, typer.Option("--language", "-l", help="Segments in it, such as zh.")
    ] = None,
    speaker: Annotated[str | None, typer.Option("--speaker", help="What this one said.")] = None,
    tag: Tag = None,
    owner: Owner = None,
    department: Department = None,
    min_length: MinLength = None,
    max_length: MaxLength = None,
    confidence: Annotated[
        float | None,
        typer.Option("--confidence", min=0, max=1, help="Segments heard at least so surely."),
    ] = None,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Search what a service keeps.")
    ] = None,
    key: Key = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Find what was said, in the current transcripts, the newest recordings first.

    Before them come others whose name holds it, without a time.

    Words with spaces between them are all in one segment; Chinese in one piece and whatever stands
    in quotes is a phrase. Upper case, width and traditional characters make no difference.

    \b
    Examples:
      lingting search 退款
      lingting search "zhong guo" --sound --since 2026-11-01
    """
    out = Output(verbose=verbose)

    def work() -> int:
        from lingting.store import SearchFilters

        filters = SearchFilters(
            date_of(since), date_of(until), language, speaker, tag, owner, department, min_length,
            max_length, confidence,
        )  # fmt: skip
        match = "sound" if sound else "text"
        with _asking(server, key) as find:
            ask = partial(find, text, match=match, filters=filters, hits=hits)
            return _search(out, ask, limit, json)

    raise typer.Exit(exit_code_of(out, work))


@contextmanager
def _asking(server: str | None, key: str | None) -> Iterator[Callable[..., SearchPage]]:
    """``find`` of the history here, or ``search`` of the service over there."""
    if server is None:
        from lingting.store import Search, open_store

        with open_store() as store:
            yield Search(store.database).find
    else:
        with connect(server, key) as client:
            yield client.search


def _search(output: Output, ask: Callable[..., SearchPage], limit: int, json: bool) -> int:
    from lingting.cli.display import clock

    size = min(limit, _PAGE)
    page = ask(limit=size, after=None)
    rows = []
    for named in page.named:
        if json:
            output.record(_record(named, None))
        else:
            rows.append((named.id, "", named.name, ""))
    for found in islice(_all(ask, page, size), limit):
        for hit in found.hits:
            if json:
                output.record(_record(found.recording, hit))
            else:
                one = found.recording
                rows.append((one.id, clock(hit.at_s), one.name, hit.text))
    if not json:
        output.table(("id", "at", "name", "text"), rows)
    if page.read_as == "words":
        output.note("Nothing holds it in one piece; these hold all of its words.")
    if page.count is not None:
        more = "more than " if page.is_count_capped else ""
        held = "segment holds" if page.count == 1 else "segments hold"
        output.note(f"{more}{page.count} {held} it")
    return DONE


def _all(ask: Callable[..., SearchPage], page: SearchPage, size: int) -> Iterator[FoundRecording]:
    """Recordings of the page and of those behind it."""
    yield from page.items
    while page.next is not None:
        page = ask(limit=size, after=page.next)
        yield from page.items


def _record(recording: Recording, hit: FoundSegment | None) -> dict[str, Any]:
    """Without a hit, the recording was found by its name: its fields are there and empty."""
    from lingting.store import FoundSegment

    names = (one.name for one in fields(FoundSegment))
    told = dict.fromkeys(names) | {"places": []} if hit is None else asdict(hit)
    return {"id": recording.id, "name": recording.name, **told}


def date_of(given: str | None) -> datetime | None:
    """A day or a moment; without a zone, of this machine."""
    if given is None:
        return None
    try:
        return datetime.fromisoformat(given).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise OptionInvalid(
            "A date cannot be read.", "Write it as 2026-11-21 or 2026-11-21T08:00."
        ) from exc
