"""``lingting backup``, ``restore`` and ``db``: care for the history."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lingting.cli.failures import DONE, FAULT, SOME_FAILED, exit_code_of
from lingting.cli.options import Verbose
from lingting.cli.output import Output, shown
from lingting.errors import OptionInvalid

app = typer.Typer(
    help="Upgrade and check the database of the history.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def backup(
    file: Annotated[Path, typer.Argument(help="The tar file to make.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Take the place of a file.")] = False,
    verbose: Verbose = False,
) -> None:
    """Save the whole history in one file, while others go on using it.

    Exit code 3 when audio was lost before: everything else is in the file.

    \b
    Example:
      lingting backup /media/usb/lingting-2026-11-21.tar
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _backup(out, file, force)))


def restore(
    file: Annotated[Path, typer.Argument(help="Made by `backup`.", show_default=False)],
    replace: Annotated[
        bool, typer.Option("--replace", help="Move aside the history that is there.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Bring back a history from a backup, after every byte of it was checked.

    \b
    Example:
      lingting restore /media/usb/lingting-2026-11-21.tar
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _restore(out, file, replace)))


def upgrade(verbose: Verbose = False) -> None:
    """Bring the database to the schema of this version; an SQLite file is copied first.

    \b
    Example:
      lingting db upgrade
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _upgrade(out)))


def check(
    audio: Annotated[
        bool, typer.Option("--audio", help="Read all audio and compare its digests.")
    ] = False,
    json: _Json = False,
    verbose: Verbose = False,
) -> None:
    """Compare rows and audio, and finish purges that were interrupted. Exit code 1 for a loss.

    \b
    Example:
      lingting db check --audio
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _check(out, audio, json)))


def compact(verbose: Verbose = False) -> None:
    """Write the database file anew, without what was removed; files above 2 GiB ask for it.

    Others wait with their writes meanwhile, and the disk needs as much room again.

    \b
    Example:
      lingting db compact
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _compact(out)))


def reindex(verbose: Verbose = False) -> None:
    """Make the index of the search anew, from the transcripts.

    For a history that pypinyin came to later, or whose `db check` says so. Others go on meanwhile;
    what is not in the index yet is not found.

    \b
    Example:
      lingting db reindex
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _reindex(out)))


COMMANDS: dict[str, Callable[..., None]] = {
    "upgrade": upgrade,
    "check": check,
    "compact": compact,
    "reindex": reindex,
}


def _backup(output: Output, file: Path, force: bool) -> int:
    from lingting.cli.display import size
    from lingting.store import open_store
    from lingting.store.backup import back_up
    from lingting.store.figures import BACKUP_SETTING

    if file.exists() and not force:
        raise OptionInvalid("The backup file exists already.", "Name another, or give --force.")
    with open_store() as store:
        report = back_up(store, file)
        if not report.lost_blobs:  # else the alert for old backups comes
            store.set_setting(BACKUP_SETTING, round(time.time()))
    output.note(
        f"{report.recordings} recordings, {report.blobs} pieces of audio, "
        f"{size(report.size_bytes)} are in {shown(str(file))}"
    )
    return _lost(output, len(report.lost_blobs))


def _restore(output: Output, file: Path, replace: bool) -> int:
    from lingting.store.backup import restore

    report = restore(file, replace=replace)
    if report.replaced is not None:
        output.note(f"What was there before is in {shown(str(report.replaced))}")
    output.note(f"{report.recordings} recordings, {report.blobs} pieces of audio are back")
    return _lost(output, len(report.lost_blobs))


def _lost(output: Output, count: int) -> int:
    if count:
        output.warn(f"{count} pieces of audio were missing or damaged when the backup was made.")
    return SOME_FAILED if count else DONE


def _upgrade(output: Output) -> int:
    from lingting.store.migrating import upgrade

    before, after, copy = upgrade()
    if copy is not None:
        output.note(f"A copy of the older database is in {shown(str(copy))}")
    if before == after:
        output.note(f"The database has schema {after} already.")
    else:
        output.note(f"The database has schema {after} now; it had {before or 'none'}.")
    return DONE


def _compact(output: Output) -> int:
    from lingting.cli.display import size
    from lingting.store import open_store

    with open_store() as store:
        store.compact()
        size_bytes = store.database.size_bytes
    output.note(
        f"The database has {size(size_bytes)} now." if size_bytes else "Postgres does it by itself."
    )
    return DONE


def _reindex(output: Output) -> int:
    from lingting.store import Search, open_store

    with open_store() as store:
        search = Search(store.database)
        count = search.rebuild()
        without = search.without_sounds()
    output.note(f"{count} segments are in the index.")
    if without:
        output.warn(
            f"{without} of them cannot be found by sound: run `pip install lingting[search]`, then"
            " this again."
        )
    return DONE


def _check(output: Output, audio: bool, json: bool) -> int:
    from lingting.store import open_store

    with open_store() as store:
        found = store.check(audio=audio)
    if json:
        output.record({**asdict(found), "is_healthy": found.is_healthy})
        return DONE if found.is_healthy else FAULT
    rows = [
        ("recordings", str(found.recordings)),
        ("pieces of audio", str(found.blobs)),
        ("missing audio", str(len(found.missing_blobs))),
        ("damaged audio", str(len(found.damaged_blobs)) if audio else "not read; --audio"),
        ("audio without a recording", str(len(found.orphan_blobs))),
        ("purges finished", str(found.finished_purges)),
        ("leftovers removed", str(found.removed_leftovers)),
    ]
    output.table(("what", "found"), rows)
    for fault in found.row_faults:
        output.warn(f"fault: {fault}")
    return DONE if found.is_healthy else FAULT
