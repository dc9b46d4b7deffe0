"""The program ``lingting``: its commands, and the console entry point.

Only Typer and what is needed to describe the commands is imported here; a command imports the rest
when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, NoReturn

import typer

from lingting.cli import (
    about,
    audit,
    database,
    engine,
    evaluation,
    glossary,
    history,
    jobs,
    keys,
    mcp,
    models,
    people,
    retention,
    search,
    serve,
    speech,
    submit,
    transcribe,
    webhooks,
    worker,
)
from lingting.cli.failures import exit_code_of
from lingting.cli.output import Output, keep_standard_streams_apart

app = typer.Typer(
    name="lingting",
    help="Speech to text on your own machine. Nothing leaves it.",
    epilog="Start with: lingting transcribe talk.mp3",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _flowed(docstring: str) -> str:
    """Lines of a paragraph become one, which the terminal wraps; examples stay as they are."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(
        text if text.startswith("\b") else " ".join(text.split()) for text in paragraphs
    )


def _add(to: typer.Typer, name: str, command: Callable[..., None]) -> None:
    to.command(name, help=_flowed(command.__doc__ or ""))(command)


def _add_group(name: str, group: typer.Typer, commands: Mapping[str, Callable[..., None]]) -> None:
    app.add_typer(group, name=name)
    for one, command in commands.items():
        _add(group, one, command)


_add(app, "transcribe", transcribe.transcribe)
_add(app, "vad", speech.vad)
_add(app, "eval", evaluation.evaluate)
_add_group("models", models.app, models.COMMANDS)
_add_group("history", history.app, history.COMMANDS)
_add(app, "search", search.search)
_add_group("glossary", glossary.app, glossary.COMMANDS)
_add_group("retention", retention.app, retention.COMMANDS)
_add(app, "serve", serve.serve)
_add(app, "web", serve.web)
_add(app, "status", serve.status)
_add(app, "stop", serve.stop)
_add_group("key", keys.app, keys.COMMANDS)
_add_group("user", people.users, people.USER_COMMANDS)
_add_group("department", people.departments, people.DEPARTMENT_COMMANDS)
_add_group("audit", audit.app, audit.COMMANDS)
_add_group("webhook", webhooks.app, webhooks.COMMANDS)
_add(app, "submit", submit.submit)
_add_group("jobs", jobs.app, jobs.COMMANDS)
_add(app, "watch", jobs.watch)
_add(app, "backup", database.backup)
_add(app, "restore", database.restore)
_add_group("db", database.app, database.COMMANDS)
_add(app, "mcp", mcp.mcp)
_add(app, "engine", engine.engine)
_add(app, "worker", worker.worker)
_add(app, "languages", about.languages)
_add(app, "config", about.config)
_add(app, "version", about.version)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        raise typer.Exit(about.print_version(Output()))


@app.callback()
def _global(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    # No docstring: it would take the place of the program's help.
    del version  # answered by its callback


def run() -> NoReturn:
    """Console entry point; never returns. Every failure is a sentence and an exit code."""
    keep_standard_streams_apart()
    output = Output(verbose="--verbose" in sys.argv)
    sys.exit(exit_code_of(output, _commands))


def _commands() -> int:
    app(prog_name="lingting")
    return 0


if __name__ == "__main__":
    run()
