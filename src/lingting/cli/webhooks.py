"""``lingting webhook``: addresses that a service tells what happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.asking import Json, Key, Server, Verbose, asked
from lingting.cli.failures import DONE, SOME_FAILED
from lingting.cli.output import Output, record_of

if TYPE_CHECKING:
    from lingting.client import Client
    from lingting.store.records import Delivery, Webhook

app = typer.Typer(
    help="Addresses that the service tells what happens, by Standard Webhooks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_LOOK_EVERY_S = 0.5
_WAITED_S = 30.0
_USUAL = ("job.done", "job.failed", "batch.done")
_DELIVERY = ("id", "event", "when", "state", "attempts", "last answer")

_Id = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
_Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event", "-e", metavar="KIND",
        help="Repeatable, as in docs/webhooks.md; job.done, job.failed and batch.done.",
    ),
]  # fmt: skip
_Text = Annotated[
    bool, typer.Option("--include-text", help="Send transcript text, and not ids alone.")
]


class State(StrEnum):
    pending = "pending"
    done = "done"
    failed = "failed"


def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="https.", show_default=False)],
    event: _Events = None,
    department: Annotated[
        str | None,
        typer.Option("--department", help="Everything of a department; for its managers."),
    ] = None,
    for_all: Annotated[
        bool, typer.Option("--for-all", help="Everything of everybody; for administrators.")
    ] = False,
    include_text: _Text = False,
    note: Annotated[str, typer.Option("--note", help="What it is for.")] = "",
    server: Server = None,
    key: Key = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Add an address; prints its id and, this once, its secret.

    \b
    Example:
      lingting webhook add https://tickets.example.org/speech --event job.done --event job.failed
    """
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        reach = "all" if for_all else "own" if department is None else "department"
        made, secret = client.add_webhook(
            url, event or _USUAL, reach=reach, department=department, includes_text=include_text,
            note=note,
        )  # fmt: skip
        _tell_secret(out, made, secret, json)
        return DONE

    raise typer.Exit(asked(out, work, server, key))


def list_(
    server: Server = None, key: Key = None, json: Json = False, verbose: Verbose = False
) -> None:
    """Your webhooks; administrators see all.

    \b
    Example:
      lingting webhook list
    """
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        header = ("id", "state", "user", "reach", "events", "url", "note")
        out.listing(client.webhooks(), header, _row, as_json=json)
        return DONE

    raise typer.Exit(asked(out, work, server, key))


def change(
    id: _Id,
    url: Annotated[str | None, typer.Option("--url", help="Another address.")] = None,
    event: _Events = None,
    include_text: Annotated[
        bool | None,
        typer.Option("--include-text/--no-include-text", help="Send transcript text or not."),
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="What it is for.")] = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Send messages or not.")
    ] = None,
    server: Server = None,
    key: Key = None,
    verbose: Verbose = False,
) -> None:
    """Change what is given; the rest stays.

    \b
    Example:
      lingting webhook change k7mqx2abcdef --enable
    """
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        given = {
            "url": url, "events": event, "includes_text": include_text, "note": note,
            "is_active": enable,
        }  # fmt: skip
        made = client.change_webhook(
            id, **{name: one for name, one in given.items() if one is not None}
        )
        out.note(f"{made.id} is {_state_of(made)}")
        return DONE

    raise typer.Exit(asked(out, work, server, key))


def rotate(
    id: _Id, server: Server = None, key: Key = None, json: Json = False, verbose: Verbose = False
) -> None:
    """Another secret. For a day messages are signed with the one before as well.

    \b
    Example:
      lingting webhook rotate k7mqx2abcdef
    """
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        made, secret = client.rotate_webhook(id)
        _tell_secret(out, made, secret, json)
        return DONE

    raise typer.Exit(asked(out, work, server, key))


def delete(id: _Id, server: Server = None, key: Key = None, verbose: Verbose = False) -> None:
    """Remove a webhook and the log of its deliveries.

    \b
    Example:
      lingting webhook delete k7mqx2abcdef
    """
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        gone = client.delete_webhook(id)
        out.note(f"{gone.id} is deleted")
        return DONE

    raise typer.Exit(asked(out, work, server, key))


def try_(
    id: _Id, server: Server = None, key: Key = None, json: Json = False, verbose: Verbose = False
) -> None:
    """Send a message that tells nothing, and say what became of it; exit code 3: not delivered.

    \b
    Example:
      lingting webhook test k7mqx2abcdef
    """
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        sent = client.test_webhook(id)
        until_s = time.monotonic() + _WAITED_S
        while not sent.log and time.monotonic() < until_s:
            time.sleep(_LOOK_EVERY_S)
            sent = client.delivery(id, sent.id)
        out.listing([sent], _DELIVERY, _delivery_row, as_json=json)
        return DONE if sent.state == "done" else SOME_FAILED

    raise typer.Exit(asked(out, work, server, key))


def deliveries(
    id: _Id,
    state: Annotated[State | None, typer.Option("--state", help="Only those.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many.")] = 50,
    server: Server = None,
    key: Key = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """What was told, the newest first, and how each attempt went (--json).

    \b
    Example:
      lingting webhook deliveries k7mqx2abcdef --state failed
    """
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        wanted = None if state is None else state.value
        found = client.deliveries(id, state=wanted, limit=limit)
        out.listing(found, _DELIVERY, _delivery_row, as_json=json)
        return DONE

    raise typer.Exit(asked(out, work, server, key))


def replay(
    id: _Id,
    delivery: Annotated[
        int | None, typer.Option("--delivery", metavar="ID", help="One; else all that failed.")
    ] = None,
    server: Server = None,
    key: Key = None,
    verbose: Verbose = False,
) -> None:
    """Send again what failed, or one delivery whatever became of it.

    \b
    Examples:
      lingting webhook replay k7mqx2abcdef
      lingting webhook replay k7mqx2abcdef --delivery 4711
    """
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        count = client.replay(id, delivery)
        out.note(f"{count} to be sent again")
        return DONE

    raise typer.Exit(asked(out, work, server, key))


COMMANDS: dict[str, Callable[..., None]] = {
    "add": add,
    "list": list_,
    "change": change,
    "rotate": rotate,
    "delete": delete,
    "test": try_,
    "deliveries": deliveries,
    "replay": replay,
}


def _tell_secret(output: Output, made: Webhook, secret: str, json: bool) -> None:
    if json:
        output.record({"webhook": record_of(made), "secret": secret})
        return
    output.note("the secret is shown this once; give it to the receiver")
    output.data(f"{made.id}\t{secret}\n")


def _state_of(one: Webhook) -> str:
    if one.disabled_at is not None:
        return f"disabled ({one.disabled_for})"
    return "works" if one.failing_since is None else "fails"


def _row(one: Webhook) -> Sequence[str]:
    return (
        one.id, _state_of(one), one.owner, one.department or one.reach, ",".join(one.events),
        one.url, one.note,
    )  # fmt: skip


def _delivery_row(one: Delivery) -> Sequence[str]:
    last = one.log[-1] if one.log else None
    how = "" if last is None else str(last.status or last.error or "")
    at = one.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return (str(one.id), one.kind, at, one.state, str(one.attempts), how)
