"""``lingting history``: what was kept, to be listed, read, exported and deleted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.failures import DONE, each, exit_code_of
from lingting.cli.formats import Formats, parse_formats
from lingting.cli.listing import list_, values
from lingting.cli.notes import note
from lingting.cli.options import Json, Verbose, Words
from lingting.cli.output import Output, local_time, record_of, shown
from lingting.cli.sharing import share
from lingting.errors import OptionInvalid

if TYPE_CHECKING:
    from lingting.store import Recording, Revision, Store
    from lingting.transcript import Transcript

app = typer.Typer(
    help="List, read, export and delete what was kept.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Id = Annotated[
    str, typer.Argument(metavar="ID", help="As listed, or how it begins.", show_default=False)
]
_Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="As listed, or how it begins.", show_default=False),
]
_Revision = Annotated[
    int | None, typer.Option("--revision", min=1, help="An earlier state of the transcript.")
]
_COPY_BYTES = 1 << 20


def show(
    id: _Id,
    revision: _Revision = None,
    revisions: Annotated[
        bool, typer.Option("--revisions", help="List the states instead of the text.")
    ] = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """One transcript with times, or the list of its revisions.

    \b
    Example:
      lingting history show k7mqx2
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _show(out, id, revision, revisions, json)))


def export(
    ids: _Ids,
    formats: Formats = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="A folder, or - for stdout.")
    ] = ".",
    audio: Annotated[bool, typer.Option("--audio", help="The recording itself too.")] = False,
    words: Words = False,
    revision: _Revision = None,
    verbose: Verbose = False,
) -> None:
    """Write kept transcripts as files, named after the recording and its id.

    \b
    Example:
      lingting history export k7mqx2 --format srt,docx --output texts
    """
    out = Output(verbose=verbose)
    raise typer.Exit(
        exit_code_of(out, lambda: _export(out, ids, formats or (), output, audio, words, revision))
    )


def tag(
    id: _Id,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[TAG...]", help="Tags to add.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="TAG", help="Take away; repeatable.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Add and remove tags; prints those it has now.

    \b
    Example:
      lingting history tag k7mqx2 lectures 2026 --remove draft
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _tag(out, id, tags or (), remove or ())))


def rename(
    id: _Id,
    name: Annotated[str, typer.Argument(help="What it is called from now on.")],
    verbose: Verbose = False,
) -> None:
    """Give a recording another name.

    \b
    Example:
      lingting history rename k7mqx2 "Weekly meeting"
    """
    out = Output(verbose=verbose)

    def work() -> int:
        from lingting.store import open_store

        with open_store() as store:
            found = store.rename(id, name)
        out.note(f"{found.id} is called {shown(found.name)}")
        return DONE

    raise typer.Exit(exit_code_of(out, work))


def delete(ids: _Ids, verbose: Verbose = False) -> None:
    """Take recordings out of the history; `undo` brings them back.

    \b
    Example:
      lingting history delete k7mqx2
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _each(out, ids, _delete)))


def undo(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...]", help="What was deleted last when it is left out."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Bring back what was deleted.

    \b
    Example:
      lingting history undo
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _each(out, ids or [None], _undo)))


def purge(ids: _Ids, verbose: Verbose = False) -> None:
    """Remove deleted recordings for good, audio and text; prints a receipt for each.

    A recording is deleted first and purged then. Backups that were made before still hold it.

    \b
    Example:
      lingting history purge k7mqx2
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _each(out, ids, _purge, then=_swept)))


def hold(
    ids: _Ids,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who holds it, as others will see.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Put recordings on legal hold: nobody and no rule deletes or purges them.

    \b
    Example:
      lingting history hold k7mqx2 --by "Legal, case 12"
    """
    out = Output(verbose=verbose)

    def one(output: Output, store: Store, id: str | None) -> None:
        assert id is not None
        found = store.hold(id, author=by)
        by_whom = f" by {shown(found.held_by)}" if found.held_by else ""
        output.note(f"{found.id} is on legal hold{by_whom}")

    raise typer.Exit(exit_code_of(out, lambda: _each(out, ids, one)))


def release(ids: _Ids, verbose: Verbose = False) -> None:
    """End the legal hold of recordings.

    \b
    Example:
      lingting history release k7mqx2
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _each(out, ids, _release)))


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_,
    "values": values,
    "show": show,
    "export": export,
    "tag": tag,
    "rename": rename,
    "note": note,
    "share": share,
    "delete": delete,
    "undo": undo,
    "purge": purge,
    "hold": hold,
    "release": release,
}


def _show(output: Output, id: str, number: int | None, revisions: bool, json: bool) -> int:
    from lingting.cli.display import clock
    from lingting.store import open_store

    with open_store() as store:
        if revisions:
            return _show_revisions(output, store, id, json)
        if json:
            record = record_of(store.recording(id))
            output.record({**record, "transcript": store.transcript(id, number).as_dict()})
            return DONE
        for segment in store.segments(id, number):
            text = segment.text
            if segment.failure is not None and not text:
                text = f"[{segment.failure.code}]"
            who = f"{shown(segment.speaker)}: " if segment.speaker else ""
            output.data(f"{clock(segment.start_s)}\t{who}{shown_line(text)}\n")
    return DONE


def _show_revisions(output: Output, store: Store, id: str, json: bool) -> int:
    header = ("revision", "made", "by", "author", "model", "segments", "restored")
    output.listing(store.revisions(id), header, _revision_row, as_json=json)
    return DONE


def _revision_row(one: Revision) -> Sequence[str]:
    return (
        f"{one.number}{' *' if one.is_current else ''}", local_time(one.created_at), one.origin,
        one.author or "", one.model or "", str(one.segments),
        "" if one.restored_from is None else f"as {one.restored_from}",
    )  # fmt: skip


def _export(
    output: Output,
    ids: list[str],
    given: Sequence[str],
    target: str,
    audio: bool,
    words: bool,
    revision: int | None,
) -> int:
    from lingting.text.writers import write

    formats = parse_formats(given) or (() if audio else ("txt",))
    if target == "-":
        if len(ids) != 1 or len(formats) != 1 or audio:
            raise OptionInvalid("--output - takes one recording in one format.", "Give a folder.")
        from lingting.store import open_store

        output.check_data()
        with open_store() as store:
            title = shown(Path(store.recording(ids[0]).name).stem)
            transcript = store.transcript(ids[0], revision)
        output.data_bytes(write(transcript, formats[0], words=words, title=title))
        return DONE
    folder = Path(target)

    def one(output: Output, store: Store, id: str | None) -> None:
        assert id is not None
        recording = store.recording(id)
        for path in _written(store, recording, folder, formats, audio, words, revision):
            output.note(shown(str(path)))

    return _each(output, ids, one)


def _written(
    store: Store,
    recording: Recording,
    folder: Path,
    formats: tuple[str, ...],
    audio: bool,
    words: bool,
    revision: int | None,
) -> Iterator[Path]:
    from lingting.cli.targets import make_folder
    from lingting.text.writers import FORMATS, save, write
    from lingting.text.writers.files import saving
    from lingting.text.writers.names import file_name

    make_folder(folder)
    stem, suffix = file_name(recording.name)
    if audio:
        path = folder / f"{stem}.{recording.id}{suffix}"
        with store.blobs.open(recording.digest) as stream, saving(path) as file:
            shutil.copyfileobj(stream, file, _COPY_BYTES)
        yield path
    if not formats:
        return
    transcript: Transcript = store.transcript(recording.id, revision)
    title = shown(Path(recording.name).stem)
    for name in formats:
        path = folder / f"{stem}.{recording.id}{FORMATS[name].suffix}"
        save(path, write(transcript, name, words=words, title=title))
        yield path


def _tag(output: Output, id: str, add: Sequence[str], remove: Sequence[str]) -> int:
    from lingting.store import open_store

    with open_store() as store:
        is_change = bool(add or remove)
        found = store.tag(id, add=add, remove=remove) if is_change else store.recording(id)
    output.data("".join(f"{shown(one)}\n" for one in found.tags))
    return DONE


def _delete(output: Output, store: Store, id: str | None) -> None:
    assert id is not None
    found = store.delete(id)
    output.note(f"{found.id} is deleted; `lingting history undo {found.id}` brings it back")


def _undo(output: Output, store: Store, id: str | None) -> None:
    found = store.undo(id)
    output.note(f"{found.id} is in the history")


def _purge(output: Output, store: Store, id: str | None) -> None:
    assert id is not None
    receipt = store.purge(id)
    output.record(record_of(receipt))
    if receipt.audio == "pending":
        output.warn("Its text is gone; its audio goes with the next `lingting retention apply`.")


def _swept(store: Store) -> None:
    """What was purged is nowhere in the database's files any more."""
    store.sweep()


def _release(output: Output, store: Store, id: str | None) -> None:
    assert id is not None
    output.note(f"{store.release(id).id} is free")


def _each(
    output: Output,
    ids: Sequence[str | None],
    work: Callable[[Output, Store, str | None], None],
    then: Callable[[Store], None] | None = None,
) -> int:
    """One after another; one that fails does not keep the others back."""
    from lingting.store import open_store

    with open_store() as store:
        code = each(output, ids, lambda id: work(output, store, id), named=lambda id: id)
        if then is not None:
            then(store)
    return code


def shown_line(text: str) -> str:
    """Text on one line, whole; nothing in it moves the cursor."""
    return "".join(char if char.isprintable() else " " for char in text)
