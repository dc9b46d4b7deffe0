"""What commands that speak to a service have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.options import Json as Json
from lingting.cli.options import Verbose as Verbose
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
