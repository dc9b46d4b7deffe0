"""``lingting key``: keys for programs, and the link by which a password is set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.output import Output

app = typer.Typer(
    help="Keys for programs that use the service, and one-time links.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_TIMES = ("expires_at", "last_used_at")
_Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks of faults.")]


def new(
    name: Annotated[str, typer.Argument(help="What it is for.", show_default=False)],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="read, write, search, audit or admin; repeatable. Default: read and write.",
        ),
    ] = None,
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
    verbose: _Verbose = False,
) -> None:
    """Make a key and print it. Only its digest is kept, so it is shown this once.

    \b
    Example:
      lingting key new meeting-room --scope write --scope read --user room-3
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _new(out, name, scope, user, days, limit)))


def list_(
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    verbose: _Verbose = False,
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
    verbose: _Verbose = False,
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
    verbose: _Verbose = False,
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


def _new(
    output: Output,
    name: str,
    scopes: list[str] | None,
    user: str,
    days: int | None,
    limit: int | None,
) -> int:
    from lingting.server.access import Access
    from lingting.store import open_store

    with open_store() as store:
        key, secret = Access(store).new_key(
            name,
            user=user,
            scopes=scopes or ("read", "write"),
            expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
            limits=None if limit is None else {"requests_per_minute": float(limit)},
        )
    output.note(f"{key.id}: scopes {', '.join(key.scopes)}, user {key.user}; shown this once:")
    output.data(f"{secret}\n")
    return DONE


def _list(output: Output, json: bool) -> int:
    from lingting.server.access import Access
    from lingting.store import open_store

    with open_store() as store:
        keys = Access(store).keys()
    if json:
        for key in keys:
            output.record({**asdict(key), **times_of(key, "created_at", *_TIMES)})
        return DONE
    rows = [
        (key.id, key.name, key.user, key.role, " ".join(key.scopes),
         *(local_time(getattr(key, name)) for name in ("created_at", *_TIMES)))
        for key in keys
    ]  # fmt: skip
    output.table(("id", "name", "user", "role", "scopes", "made", "ends", "used"), rows)
    return DONE


def times_of(value: Any, *names: str) -> dict[str, str | None]:
    """Fields that are times, for JSON."""
    found = {name: getattr(value, name) for name in names}
    return {name: None if one is None else one.isoformat() for name, one in found.items()}


def local_time(time: datetime | None) -> str:
    """For people: this machine's time of day, or nothing."""
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M")


def _revoke(output: Output, ids: list[str]) -> int:
    from lingting.server.access import Access
    from lingting.store import open_store

    with open_store() as store:
        access = Access(store)
        for id in ids:
            access.revoke(id)
            output.note(f"{id} is revoked")
    return DONE


def _link(output: Output, user: str) -> int:
    from lingting.config import settings
    from lingting.server.access import Access
    from lingting.server.serving import address_of
    from lingting.store import open_store

    with open_store() as store:
        access = Access(store)
        access.ensure_administrator()
        token = access.new_link(user)
    output.data(f"{address_of(settings())}/setup?token={token}\n")
    return DONE
