"""``lingting key``: keys for programs, and the link by which a password is set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.options import Json, Verbose
from lingting.cli.output import Output, local_time

if TYPE_CHECKING:
    from lingting.answers import Key
    from lingting.server.access import Access

app = typer.Typer(
    help="Keys for programs that use the service, and one-time links.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope", help="read, write, search, audit or admin; repeatable. Default: read and write."
    ),
]


def new(
    name: Annotated[str, typer.Argument(help="What it is for.", show_default=False)],
    scope: Scopes = None,
    user: Annotated[
        str, typer.Option("--user", help="Whose recordings it submits and sees.")
    ] = "admin",
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=36_500, help="How long it works. Default: for ever."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--per-minute", min=1, help="Requests a minute. Default: its user's."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Make a key and print it. Only its digest is kept, so it is shown this once.

    \b
    Example:
      lingting key new meeting-room --scope write --scope read --user room-3
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _new(out, name, scope, user, days, limit)))


def list_(
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """The keys there are, without their secrets.

    \b
    Example:
      lingting key list
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _list(out, json)))


def revoke(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="As listed.", show_default=False)
    ],
    verbose: Verbose = False,
) -> None:
    """End keys; within two seconds nothing takes them any more.

    \b
    Example:
      lingting key revoke 4k2m9xq0ab
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _revoke(out, ids)))


def link(
    user: Annotated[str, typer.Option("--user", help="Who sets a password.")] = "admin",
    verbose: Verbose = False,
) -> None:
    """A link by which a password is set: good once, for 24 hours.

    \b
    Example:
      lingting key link
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _link(out, user)))


COMMANDS: dict[str, Callable[..., None]] = {
    "new": new,
    "list": list_,
    "revoke": revoke,
    "link": link,
}


@contextmanager
def _opened() -> Iterator[Access]:
    from lingting.server.access import Access
    from lingting.store import open_store

    with open_store() as store:
        yield Access(store)


def _new(
    output: Output,
    name: str,
    scopes: list[str] | None,
    user: str,
    days: int | None,
    limit: int | None,
) -> int:
    ends_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with _opened() as access:
        key, secret = access.new_key(
            name,
            user=user,
            scopes=scopes or ("read", "write"),
            expires_at=ends_at,
            limits=None if limit is None else {"requests_per_minute": float(limit)},
        )
    output.note(f"{key.id}: scopes {', '.join(key.scopes)}, user {key.user}; shown this once:")
    output.data(f"{secret}\n")
    return DONE


def _list(output: Output, json: bool) -> int:
    with _opened() as access:
        keys = access.keys()
    header = ("id", "name", "user", "role", "scopes", "made", "ends", "used")
    output.listing(keys, header, _row, as_json=json)
    return DONE


def _row(key: Key) -> Sequence[str]:
    return (
        key.id, key.name, key.user, key.role, " ".join(key.scopes),
        *map(local_time, (key.created_at, key.expires_at, key.last_used_at)),
    )  # fmt: skip


def _revoke(output: Output, ids: list[str]) -> int:
    with _opened() as access:
        for id in ids:
            access.revoke(id)
            output.note(f"{id} is revoked")
    return DONE


def _link(output: Output, user: str) -> int:
    from lingting.config import settings
    from lingting.server.place import address, setup_link

    with _opened() as access:
        access.ensure_administrator()
        token = access.new_link(user)
    output.data(f"{setup_link(address(settings()), token)}\n")
    return DONE
