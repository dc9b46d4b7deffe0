"""``lingting glossary``: names and terms to expect, kept under a name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.options import Json, Verbose
from lingting.cli.output import Output, local_time, record_of, shown
from lingting.errors import OptionInvalid

if TYPE_CHECKING:
    from lingting.store import Glossaries, Glossary

app = typer.Typer(
    help="Names and terms to expect, under a name that submit and transcribe take.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Or its id.", show_default=False)]
_User = Annotated[
    str | None,
    typer.Option("--user", help="Whose own it is; for all when it is left out."),
]


def list_(user: _User = None, json: Json = False, verbose: Verbose = False) -> None:
    """The glossaries for all, with --user also those of one person.

    \b
    Example:
      lingting glossary list --user wang
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _list(out, user, json)))


def show(name: _Name, user: _User = None, json: Json = False, verbose: Verbose = False) -> None:
    """Its words, and which revision they are.

    \b
    Example:
      lingting glossary show products
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _show(out, name, user, json)))


def set_(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="One term a line, UTF-8, # for comments; - for standard input.",
            show_default=False,
        ),
    ],
    user: _User = None,
    based_on: Annotated[
        int | None,
        typer.Option(
            "--based-on", min=0, metavar="REVISION",
            help="Refuse when another one is current; 0: when there is one.",
        ),
    ] = None,
    verbose: Verbose = False,
) -> None:  # fmt: skip
    """Make a glossary, or replace its words. Jobs that were submitted keep those they have.

    \b
    Examples:
      lingting glossary set products terms.txt
      lingting glossary set names names.txt --user wang --based-on 3
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _set(out, name, file, user, based_on)))


def delete(name: _Name, user: _User = None, verbose: Verbose = False) -> None:
    """Remove a glossary; jobs that use it keep its words.

    \b
    Example:
      lingting glossary delete products
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _delete(out, name, user)))


def export(
    name: _Name,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write there; else it is printed."),
    ] = None,
    user: _User = None,
    verbose: Verbose = False,
) -> None:
    """The words as a file that `lingting glossary set` takes.

    \b
    Example:
      lingting glossary export products --output terms.txt
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _export(out, name, output, user)))


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_,
    "show": show,
    "set": set_,
    "delete": delete,
    "export": export,
}


@contextmanager
def _opened() -> Iterator[Glossaries]:
    from lingting.store import Glossaries, open_store

    with open_store() as store:
        yield Glossaries(store.database)


def _list(output: Output, user: str | None, json: bool) -> int:
    with _opened() as glossaries:
        found = glossaries.listed(owner=user)
    header = ("id", "name", "user", "words", "revision", "changed")
    output.listing(found, header, _row, as_json=json)
    return DONE


def _row(one: Glossary) -> Sequence[str]:
    return (
        one.id, one.name, one.owner or "", str(one.count), str(one.revision),
        local_time(one.changed_at),
    )  # fmt: skip


def _show(output: Output, name: str, user: str | None, json: bool) -> int:
    with _opened() as glossaries:
        found = glossaries.get(name, owner=user)
    if json:
        output.record(record_of(found))
        return DONE
    output.note(f"{found.id}: revision {found.revision}, {found.count} words")
    output.data("".join(f"{shown(word)}\n" for word in found.words or ()))
    return DONE


def _set(output: Output, name: str, file: Path, user: str | None, based_on: int | None) -> int:
    from lingting.errors import GlossaryNotFound
    from lingting.store.glossaries import from_text, parse_name

    words = from_text(_content(file))
    name = parse_name(name)
    with _opened() as glossaries:
        if based_on is None:
            try:
                there = glossaries.get(name, owner=user)
                # What is found by its id, or is for all, is another one.
                is_same = (there.name, there.owner) == (name, user)
                based_on = there.revision if is_same else 0
            except GlossaryNotFound:
                based_on = 0
        made = glossaries.save(name, words, based_on=based_on, owner=user)
    output.note(f"{made.id}: revision {made.revision}, {made.count} words")
    return DONE


def _delete(output: Output, name: str, user: str | None) -> int:
    with _opened() as glossaries:
        gone = glossaries.delete(name, owner=user)
    output.note(f"{gone.id} is deleted")
    return DONE


def _export(output: Output, name: str, target: Path | None, user: str | None) -> int:
    from lingting.store.glossaries import to_text
    from lingting.text.writers import save

    with _opened() as glossaries:
        text = to_text(glossaries.get(name, owner=user).words or ())
    if target is None:
        output.data(text)
    else:
        save(target, text.encode())
    return DONE


def _content(file: Path) -> bytes:
    from lingting.store.glossaries import MAX_TEXT_BYTES

    if str(file) == "-":
        return sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_TEXT_BYTES + 1)
    except OSError as exc:
        raise OptionInvalid(
            f"The file of the glossary cannot be read: {exc.strerror}.", "Check its path."
        ) from exc
