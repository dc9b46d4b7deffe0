"""``lingting history note``: what people wrote about a recording."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.options import Json, Verbose
from lingting.cli.output import Output, local_time, record_of
from lingting.errors import OptionInvalid

if TYPE_CHECKING:
    from lingting.store import Note, Notes

_SECONDS = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9})?")
_CLOCK = re.compile(r"(?:([0-9]{1,4}):)?([0-5]?[0-9]):([0-5]?[0-9](?:\.[0-9]{1,9})?)")
_MAX_BYTES = 1 << 20


def note(
    id: Annotated[
        str, typer.Argument(metavar="ID", help="As listed, or how it begins.", show_default=False)
    ],
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="What to note; - for standard input."),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="About this moment: 62.5 or 1:02.5.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="From there to here.")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who wrote it, as others will see.")
    ] = None,
    change: Annotated[
        str | None, typer.Option("--change", metavar="NOTE", help="Change this one instead.")
    ] = None,
    based_on: Annotated[
        int | None,
        typer.Option(
            "--based-on", min=1, metavar="REVISION", help="Refuse when another one is current."
        ),
    ] = None,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="NOTE", help="Remove this one for good.")
    ] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List the notes on a recording, or write one.

    \b
    Examples:
      lingting history note k7mqx2
      lingting history note k7mqx2 "asks for a refund" --at 1:01 --until 1:04
      lingting history note k7mqx2 "wants it back" --change p3wd8rabcdef
    """
    out = Output(verbose=verbose)

    def work() -> int:
        from lingting.store import Notes, open_store

        if remove is not None and (text, at, until, by, change, based_on) != (None,) * 6:
            raise OptionInvalid("--remove goes with nothing else.", "Leave the others out.")
        if change is not None and by is not None:
            raise OptionInvalid("Who wrote a note first stays its author.", "Leave --by out.")
        if change is None and based_on is not None:
            raise OptionInvalid("--based-on is of a note that is changed.", "Give --change too.")
        place = (seconds_of("--at", at), seconds_of("--until", until))
        said = _read() if text == "-" else text
        with open_store() as store:
            notes = Notes(store.database)
            if remove is not None:
                _told(out, notes.remove(id, remove), "is removed", json)
            elif change is not None:
                _told(out, _changed(notes, id, change, said, place, based_on), "is changed", json)
            elif said is not None:
                made = notes.add(id, said, at_s=place[0], end_s=place[1], author=by)
                _told(out, made, "is there", json)
            elif (at, until, by) != (None,) * 3:
                raise OptionInvalid("The note has no text.", "Give it behind the id.")
            else:
                _list(out, notes.listed(id), json)
        return DONE

    raise typer.Exit(exit_code_of(out, work))


def seconds_of(option: str, given: str | None) -> float | None:
    """``62.5``, ``1:02.5`` or ``1:00:02`` in seconds. Raises OptionInvalid for anything else."""
    if given is None:
        return None
    plain = given.strip()
    if _SECONDS.fullmatch(plain):
        return float(plain)
    matched = _CLOCK.fullmatch(plain)
    if matched is None:
        raise OptionInvalid(f"{option} is no time.", "Give seconds, or minutes:seconds.")
    hours, minutes, seconds = matched.groups()
    return int(hours or 0) * 3600.0 + int(minutes) * 60.0 + float(seconds)


def _changed(
    notes: Notes,
    id: str,
    note_id: str,
    text: str | None,
    place: tuple[float | None, float | None],
    based_on: int | None,
) -> Note:
    """What is not given stays; a time that is given is another place."""
    there = notes.get(id, note_id)
    at_s, end_s = (there.at_s, there.end_s) if place == (None, None) else place
    return notes.change(
        id,
        note_id,
        there.text if text is None else text,
        at_s=at_s,
        end_s=end_s,
        based_on=there.revision if based_on is None else based_on,
    )


def _told(output: Output, note: Note, what: str, json: bool) -> None:
    if json:
        output.record(record_of(note))
    else:
        output.note(f"{note.id} {what}, revision {note.revision}")


def _list(output: Output, found: list[Note], json: bool) -> None:
    if json:
        for one in found:
            output.record(record_of(one))
        return
    rows = [
        (one.id, _place(one), one.author or "", str(one.revision), local_time(one.changed_at),
         one.text)
        for one in found
    ]  # fmt: skip
    output.table(("id", "at", "author", "revision", "changed", "text"), rows)


def _place(note: Note) -> str:
    from lingting.cli.display import clock

    if note.at_s is None:
        return ""
    return clock(note.at_s) if note.end_s is None else f"{clock(note.at_s)}-{clock(note.end_s)}"


def _read() -> str:
    """Standard input, which keeps a text out of the shell's history. Raises OptionInvalid."""
    given = sys.stdin.buffer.read(_MAX_BYTES + 1)
    if len(given) > _MAX_BYTES:
        raise OptionInvalid("The text of the note is larger than 1 MiB.", "Shorten it.")
    try:
        return given.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise OptionInvalid("The text of the note is not UTF-8.", "Save it as UTF-8.") from exc
