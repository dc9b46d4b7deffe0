"""``lingting audit``: who did what, and whether the trail is whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.failures import DONE, FAULT, exit_code_of
from lingting.cli.options import Json, Verbose
from lingting.cli.output import Output, local_time
from lingting.cli.paging import newest

if TYPE_CHECKING:
    from lingting.store import AuditEntry

app = typer.Typer(
    help="Who did what: a trail whose changes are found.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Rows at most.")] = 50,
    action: Annotated[
        str | None, typer.Option("--action", help="Only these, such as sign_in.refused.")
    ] = None,
    object_id: Annotated[
        str | None, typer.Option("--object", metavar="ID", help="Only about this one.")
    ] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """What was done, the newest first. There are ids and counts in it, no text and no file names.

    \b
    Example:
      lingting audit list --action recording.purged
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _list(out, limit, action, object_id, json)))


def verify(
    anchor: Annotated[
        str | None,
        typer.Option("--anchor", metavar="ID:DIGEST", help="What an earlier run printed."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Read the whole trail: a row that was changed, removed or moved ends it with 1.

    Prints the newest id and digest. Kept somewhere else, they also show that nobody wrote a whole
    new trail: give them as --anchor.

    \b
    Example:
      lingting audit verify
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _verify(out, anchor)))


COMMANDS: dict[str, Callable[..., None]] = {"list": list_, "verify": verify}


def _list(output: Output, limit: int, action: str | None, object_id: str | None, json: bool) -> int:
    from lingting.store import audit, open_store

    with open_store() as store:

        def page(size: int, before: int | None) -> Sequence[AuditEntry]:
            with store.database.read() as session:
                return audit.entries(
                    session, limit=size, before=before, action=action, object_id=object_id
                )

        found = newest(page, limit)
    header = ("id", "at", "who", "by", "did", "what", "details")
    output.listing(found, header, _row, as_json=json)
    return DONE


def _row(one: AuditEntry) -> Sequence[str]:
    return (
        str(one.id), local_time(one.at), one.actor, one.by, one.action,
        f"{one.object_kind} {one.object_id}",
        " ".join(f"{name}={value}" for name, value in one.details.items()),
    )  # fmt: skip


def _verify(output: Output, anchor: str | None) -> int:
    from lingting.store import audit, open_store

    with open_store() as store, store.database.read() as session:
        found = audit.verify(session, anchor)
    if found.bad_id is not None:
        output.warn(f"row {found.bad_id} {found.reason}; the {found.rows} before it are whole")
        return FAULT
    output.note(f"{found.rows} rows are as they were written; the newest:")
    output.data(f"{found.anchor}\n")
    return DONE
