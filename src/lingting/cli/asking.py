"""What commands that speak to a service have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.failures import exit_code_of
from lingting.cli.options import Json as Json
from lingting.cli.options import Verbose as Verbose
from lingting.cli.output import Output
from lingting.errors import OutputUnwritable, ServiceUnreachable, SignInNeeded

if TYPE_CHECKING:
    from lingting.client import Client

Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="The service; LINGTING_SERVER, this machine's."),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        help="Better LINGTING_SERVER_KEY: others on this machine see what is typed.",
        show_default=False,
    ),
]
FATAL = (OutputUnwritable, ServiceUnreachable, SignInNeeded)
"""What is asked next would fare the same."""


def connect(server: str | None, key: str | None) -> Client:
    """A client; nothing is sent yet."""
    from lingting.client import Client

    return Client(server, key)


def asked(
    output: Output, work: Callable[[Client], int], server: str | None, key: str | None
) -> int:
    """The exit code of a command's body that is given a client."""

    def connected() -> int:
        with connect(server, key) as client:
            return work(client)

    return exit_code_of(output, connected)
