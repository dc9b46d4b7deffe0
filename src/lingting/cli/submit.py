"""``lingting submit``: recordings to a service, and again after a break without sending twice."""

from __future__ import annotations

import hashlib
import json as json_
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting.cli.asking import FATAL, Key, Server, connect
from lingting.cli.failures import DONE, each, exit_code_of
from lingting.cli.options import (
    BeamSize,
    Channels,
    ChannelsOption,
    Hotwords,
    HotwordsFile,
    Itn,
    Json,
    Language,
    Prompt,
    Quiet,
    Recursive,
    Script,
    ScriptOption,
    Translate,
    Verbose,
    Words,
)
from lingting.cli.output import Output, record_of, shown
from lingting.cli.transcribe import read_hotwords

if TYPE_CHECKING:
    from lingting.cli.inputs import Input
    from lingting.client import Client, OnSent
    from lingting.store import Job


class Priority(StrEnum):
    high = "high"
    normal = "normal"
    low = "low"


@dataclass(frozen=True, slots=True)
class _Request:
    given: Sequence[str]
    batch: str | None
    priority: str
    options: dict[str, Any]
    recursive: bool
    resumable: bool
    force: bool
    watch: bool
    json: bool


def submit(
    files: Annotated[
        list[str],
        typer.Argument(help="Recordings, folders or patterns.", show_default=False),
    ],
    batch: Annotated[
        str | None, typer.Option("--batch", "-b", metavar="NAME", help="Keep them together.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Wait and show progress.")] = False,
    priority: Annotated[Priority, typer.Option(help="Whose turn it is.")] = Priority.normal,
    language: Language = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A name that the service knows.")
    ] = "auto",
    words: Words = False,
    itn: Itn = True,
    script: ScriptOption = Script.simplified,
    hotword: Hotwords = None,
    hotwords_file: HotwordsFile = None,
    glossary: Annotated[
        str | None,
        typer.Option("--glossary", metavar="NAME", help="Expect its words; the service has it."),
    ] = None,
    prompt: Prompt = None,
    channels: ChannelsOption = Channels.mix,
    beam_size: BeamSize = None,
    translate: Translate = False,
    recursive: Recursive = True,
    resumable: Annotated[
        bool,
        typer.Option("--resumable/--no-resumable", help="Go on behind a cut, also when run again."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Do again what was submitted before.")
    ] = False,
    server: Server = None,
    key: Key = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Send recordings to a service; prints the id of each one's job.

    What the service has already is not sent again, so a stopped run simply goes on: the same
    content under the same name with the same options is the same job. Exit code: 0 all taken (with
    --watch: done), 1 a fault, 2 a wrong request, 3 some files failed, 130 stopped.

    \b
    Examples:
      lingting submit talk.mp3 --language zh
      lingting submit lectures/ --batch lectures --watch
      lingting submit congress.mkv --resumable
    """
    out = Output(quiet=quiet, verbose=verbose)

    def work() -> int:
        from lingting.jobs import JobOptions

        options = JobOptions(  # what is wrong is said before anything is sent
            model=model, language=language, words=words, itn=itn, script=script.value,
            hotwords=read_hotwords(hotword or (), hotwords_file), prompt=prompt,
            beam_size=beam_size, channels=channels.value, glossary=glossary, translate=translate,
        ).as_dict()  # fmt: skip
        request = _Request(
            files, batch, priority.value, options, recursive, resumable, force, watch, json
        )
        return _submit(out, request, server, key)

    raise typer.Exit(exit_code_of(out, work))


def _submit(output: Output, request: _Request, server: str | None, key: str | None) -> int:
    from lingting.cli.inputs import find_inputs
    from lingting.cli.stopping import stoppable
    from lingting.cli.watching import Watch

    inputs = find_inputs(request.given, recursive=request.recursive)
    with connect(server, key) as client, stoppable():
        batch_id = None
        if request.batch is not None:
            named = None if request.force else f"batch:{request.priority}:{request.batch}"
            opened = client.open_batch(
                request.batch, priority=request.priority,
                idempotency_key=None if named is None else _hashed(named),
            )  # fmt: skip
            batch_id = opened.id
            output.note(f"batch {batch_id}")
        sender = _Sender(output, client, request, batch_id)
        with _progress(output, len(inputs)) as progress:
            code = each(
                output, inputs, lambda one: sender.send(one, progress),
                named=lambda one: one.name, fatal=FATAL,
            )  # fmt: skip
        if request.watch and sender.jobs:
            watch = Watch(output, client, json=request.json)
            watched = watch.batch(batch_id) if batch_id is not None else watch.jobs(sender.jobs)
            code = code if code != DONE else watched
    return code


class _Sender:
    """Sends what the service does not have yet, and knows the jobs of all."""

    def __init__(
        self, output: Output, client: Client, request: _Request, batch_id: str | None
    ) -> None:
        self._output = output
        self._client = client
        self._request = request
        self._batch_id = batch_id
        self.jobs: dict[str, Job] = {}

    def send(self, one: Input, progress: _Progress) -> None:
        try:
            if one.error is not None:
                raise one.error
            job, is_new = self._sent(one, progress)
            self.jobs[job.id] = job
            self._tell(job, one.name, is_new)
        finally:
            progress.file_done()

    def _sent(self, one: Input, progress: _Progress) -> tuple[Job, bool]:
        from lingting.client import digest_of, when_free
        from lingting.errors import AudioPathUnreadable

        if one.path is None:
            raise AudioPathUnreadable("Standard input cannot be submitted.", "Save it as a file.")
        path, name = one.path, _name_of(one)
        digest = digest_of(path)
        key = self._key(digest, name)
        known = None if self._request.force else when_free(lambda: self._client.submitted(key))
        if known is not None:
            return known, False
        progress.file_begun(path.stat().st_size)
        job = when_free(
            lambda: self._client.submit(
                path,
                name=name,
                options=self._request.options,
                batch_id=self._batch_id,
                priority=self._request.priority,
                idempotency_key=key,
                sha256=digest,
                on_sent=progress.sent,
                resumable=self._request.resumable,
            )
        )
        return job, True

    def _key(self, digest: str, name: str) -> str:
        if self._request.force:
            return secrets.token_hex(16)
        asked = [
            digest, name, self._request.options, self._batch_id, self._request.priority,
        ]  # fmt: skip
        return _hashed(json_.dumps(asked))

    def _tell(self, job: Job, name: str, is_new: bool) -> None:
        if self._request.json:
            self._output.record({"job": record_of(job), "is_new": is_new})
        else:
            self._output.data(f"{job.id}\t{job.state}\t{shown(name)}\n")


def _name_of(one: Input) -> str:
    """Below the folder that was searched; its name alone for a file that was named."""
    assert one.path is not None
    if one.root is None:
        return one.path.name
    try:
        return one.path.relative_to(one.root).as_posix()
    except ValueError:
        return one.path.name


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


class _Progress:
    """Nothing: for logs, pipes and ``--quiet``."""

    def file_begun(self, size_bytes: int) -> None:
        """The next file is being sent."""

    @property
    def sent(self) -> OnSent:
        """Hears how much of it has been sent."""
        return lambda _: None

    def file_done(self) -> None:
        """It is there, or will not be."""


class _BarProgress(_Progress):
    def __init__(self, bar: Any, task: Any) -> None:
        self._bar = bar
        self._task = task
        self._files = 0

    def file_begun(self, size_bytes: int) -> None:
        self._bar.update(self._task, completed=0, total=max(size_bytes, 1))

    @property
    def sent(self) -> OnSent:
        return lambda sent_bytes: self._bar.update(self._task, completed=sent_bytes)

    def file_done(self) -> None:
        self._files += 1
        self._bar.update(self._task, files=self._files)


@contextmanager
def _progress(output: Output, files: int) -> Iterator[_Progress]:
    if output.is_quiet or not output.has_terminal:
        yield _Progress()
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    from lingting.cli.display import Bar

    bar = Bar(
        output,
        TextColumn("{task.fields[files]}/" + str(files) + " files"),
        BarColumn(bar_width=24),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with bar:
        yield _BarProgress(bar.progress, bar.progress.add_task("", total=1, files=0))
