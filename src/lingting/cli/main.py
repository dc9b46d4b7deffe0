"""The program ``lingting``: its commands, and the console entry point.

Only Typer and what is needed to describe the commands is imported here; a command imports the rest
when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
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


_add(app, "transcribe", transcribe.transcribe)
_add(app, "vad", speech.vad)
_add(app, "eval", evaluation.evaluate)
app.add_typer(models.app, name="models")
for _name, _command in models.COMMANDS.items():
    _add(models.app, _name, _command)
app.add_typer(history.app, name="history")
for _name, _command in history.COMMANDS.items():
    _add(history.app, _name, _command)
_add(app, "search", search.search)
app.add_typer(glossary.app, name="glossary")
for _name, _command in glossary.COMMANDS.items():
    _add(glossary.app, _name, _command)
app.add_typer(retention.app, name="retention")
for _name, _command in retention.COMMANDS.items():
    _add(retention.app, _name, _command)
_add(app, "serve", serve.serve)
_add(app, "web", serve.web)
_add(app, "status", serve.status)
_add(app, "stop", serve.stop)
app.add_typer(keys.app, name="key")
for _name, _command in keys.COMMANDS.items():
    _add(keys.app, _name, _command)
for _group, _name_of_group, _commands_of_group in (
    (people.users, "user", people.USER_COMMANDS),
    (people.departments, "department", people.DEPARTMENT_COMMANDS),
    (audit.app, "audit", audit.COMMANDS),
    (webhooks.app, "webhook", webhooks.COMMANDS),
):
    app.add_typer(_group, name=_name_of_group)
    for _name, _command in _commands_of_group.items():
        _add(_group, _name, _command)
_add(app, "submit", submit.submit)
app.add_typer(jobs.app, name="jobs")
for _name, _command in jobs.COMMANDS.items():
    _add(jobs.app, _name, _command)
_add(app, "watch", jobs.watch)
_add(app, "backup", database.backup)
_add(app, "restore", database.restore)
app.add_typer(database.app, name="db")
for _name, _command in database.COMMANDS.items():
    _add(database.app, _name, _command)
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
