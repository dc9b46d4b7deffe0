"""``lingting mcp``: a service as tools for a language model, on standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingting.cli.asking import Key, Server, Verbose, connect
from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.output import Output

_Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--folder",
        help="Where files may be read from; repeatable. The home folder, without what is hidden.",
        show_default=False,
    ),
]


def mcp(
    server: Server = None,
    key: Key = None,
    folder: _Folders = None,
    verbose: Verbose = False,
) -> None:
    """Serve the tools of a running service to a language model (MCP on stdin and stdout).

    Programs such as desktop assistants start it; see docs/mcp.md for what they want to be told.
    The model may do what the key may, and read audio from the folders given. It ends with its
    input.

    \b
    Examples:
      lingting mcp
      lingting mcp --server https://speech.example.org --folder ~/Recordings
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _mcp(server, key, folder)))


def _mcp(server: str | None, key: str | None, folders: list[Path] | None) -> int:
    from lingting.mcp.files import Files
    from lingting.mcp.stdio import serve

    with connect(server, key):  # an address that is none is said now, and not by each tool
        pass
    serve(lambda: connect(server, key), Files(folders or [Path.home()]))
    return DONE
