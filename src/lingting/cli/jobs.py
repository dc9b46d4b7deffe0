"""``lingting jobs`` and ``watch``: what a service does with what it was given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.asking import FATAL, Key, Server, asked
from lingting.cli.failures import DONE, each
from lingting.cli.formats import Formats, parse_formats
from lingting.cli.options import Json, Limit, Quiet, Verbose, Words
from lingting.cli.output import Output, local_time, record_of
from lingting.cli.paging import newest
from lingting.errors import JobNotFound, OptionInvalid

if TYPE_CHECKING:
    from lingting.client import Action, Client
    from lingting.store import Batch, Job

app = typer.Typer(
    help="List, show, export, pause, resume, cancel and retry jobs of a service.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Jobs or batches, as listed.", show_default=False),
]


def list_(
    limit: Limit = 20,
    state: Annotated[
        str | None,
        typer.Option("--state", help="queued, running, paused, done, failed or cancelled."),
    ] = None,
    batch: Annotated[
        str | None, typer.Option("--batch", metavar="ID", help="Only those of a batch.")
    ] = None,
    batches: Annotated[bool, typer.Option("--batches", help="List batches instead.")] = False,
    server: Server = None,
    key: Key = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Jobs, the newest first.

    \b
    Example:
      lingting jobs list --state failed
    """
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        if batches:
            if state is not None or batch is not None:
                raise OptionInvalid("--batches lists all batches.", "Drop --state and --batch.")
            return _list_batches(out, client, limit, json)
        return _list(out, client, limit, state, batch, json)

    raise typer.Exit(asked(out, work, server, key))


def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="A job or a batch.", show_default=False)],
    server: Server = None,
    key: Key = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """One job or batch: state, progress, and why it failed.

    \b
    Example:
      lingting jobs show k7mqx2abcdef
    """
    out = Output(verbose=verbose)
    raise typer.Exit(asked(out, lambda client: _show(out, client, id, json), server, key))


def export(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="Its id.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Ends in .csv, .json or .zip.")
    ],
    formats: Formats = None,
    words: Words = False,
    server: Server = None,
    key: Key = None,
    verbose: Verbose = False,
) -> None:
    """Write what became of a batch: a table with its texts, or a ZIP of all transcripts.

    \b
    Examples:
      lingting jobs export k7mqx2abcdef -o calls.csv
      lingting jobs export k7mqx2abcdef -o calls.zip --format srt,docx
    """
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        from lingting.text.writers.files import saving

        form = output.suffix.lower()
        if form not in (".csv", ".json", ".zip"):
            raise OptionInvalid("The file's name ends in .csv, .json or .zip.")
        if form != ".zip" and (formats or words):
            raise OptionInvalid("--format and --words go with a file that ends in .zip.")
        names = parse_formats(formats or ("txt",))
        with saving(output) as file:
            if form == ".zip":
                client.export_many(file, names, batch_id=batch, words=words)
            else:
                client.batch_table(file, batch, "csv" if form == ".csv" else "json")
        return DONE

    raise typer.Exit(asked(out, work, server, key))


def _changing(action: Action, what: str) -> Callable[..., None]:
    """The command that does this to each job or batch."""

    def command(
        ids: _Ids, server: Server = None, key: Key = None, verbose: Verbose = False
    ) -> None:
        raise typer.Exit(_change(ids, action, server, key, verbose))

    command.__doc__ = f"{what}\n\n\b\nExample:\n  lingting jobs {action} k7mqx2abcdef"
    return command


def watch(
    ids: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="Jobs, or one batch.", show_default=False),
    ],
    server: Server = None,
    key: Key = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show the progress of jobs or of a batch until they have ended.

    Exit code 3 when some failed or were cancelled. A service that is away for less than a minute
    is waited for.

    \b
    Example:
      lingting watch k7mqx2abcdef
    """
    out = Output(quiet=quiet, verbose=verbose)

    def work(client: Client) -> int:
        from lingting.cli.stopping import stoppable
        from lingting.cli.watching import Watch

        with stoppable():
            follow = Watch(out, client, json=json)
            if len(ids) == 1 and (found := _found(client, ids[0])) and not _is_job(found):
                return follow.batch(found.id)
            return follow.jobs({id: client.job(id) for id in ids})

    raise typer.Exit(asked(out, work, server, key))


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_,
    "show": show,
    "export": export,
    "pause": _changing("pause", "Set jobs or batches aside; what was recognised stays."),
    "resume": _changing("resume", "Go on with what was paused."),
    "cancel": _changing("cancel", "Stop jobs or batches. The recordings stay."),
    "retry": _changing("retry", "Try failed and cancelled jobs again, from where they were."),
}


def _list(
    output: Output, client: Client, limit: int, state: str | None, batch: str | None, json: bool
) -> int:
    found = newest(
        lambda size, after: client.jobs(state=state, batch_id=batch, limit=size, after=after), limit
    )
    header = ("id", "state", "done", "priority", "submitted", "name", "error")
    output.listing(found, header, _job_row, as_json=json)
    return DONE


def _job_row(job: Job) -> Sequence[str]:
    return (
        job.id, job.state, _progress(job.done_s, job.total_s), job.priority,
        local_time(job.created_at), job.name, job.error.code if job.error is not None else "",
    )  # fmt: skip


def _list_batches(output: Output, client: Client, limit: int, json: bool) -> int:
    found = newest(lambda size, after: client.batches(limit=size, after=after), limit)
    output.listing(found, ("id", "state", "done", "jobs", "name"), _batch_row, as_json=json)
    return DONE


def _batch_row(batch: Batch) -> Sequence[str]:
    return (
        batch.id, batch.state, _progress(batch.done_s, batch.total_s),
        str(sum(batch.counts.values())), batch.name,
    )  # fmt: skip


def _show(output: Output, client: Client, id: str, json: bool) -> int:
    record = record_of(_found(client, id))
    if json:
        output.record(record)
        return DONE
    rows = [(name, _cell(one)) for name, one in record.items() if one is not None]
    output.table(("", ""), rows)
    return DONE


def _change(
    ids: list[str], action: Action, server: str | None, key: str | None, verbose: bool
) -> int:
    out = Output(verbose=verbose)

    def work(client: Client) -> int:
        def one(id: str) -> None:
            found = _found(client, id)
            change = client.change if _is_job(found) else client.change_batch
            out.note(f"{id} is {change(id, action).state}")

        return each(out, ids, one, named=lambda id: id, fatal=FATAL)

    return asked(out, work, server, key)


def _found(client: Client, id: str) -> Job | Batch:
    """Ids of jobs and batches look alike. Raises JobNotFound for neither."""
    from lingting.errors import BatchNotFound

    try:
        return client.job(id)
    except JobNotFound as error:
        try:
            return client.batch(id)
        except BatchNotFound:
            raise error from None


def _is_job(found: Job | Batch) -> bool:
    from lingting.store import Job

    return isinstance(found, Job)


def _progress(done_s: float, total_s: float | None) -> str:
    return "" if not total_s else f"{min(done_s / total_s, 1.0):.0%}"


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {one}" for name, one in value.items() if one not in (None, []))
    return str(value)
