"""Many recordings through one transcriber; each ends as done, skipped or failed, in order."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lingting.cli.display import Display, clock, open_display
from lingting.cli.failures import DONE, SOME_FAILED, code_of_stop, explained
from lingting.cli.inputs import Input
from lingting.cli.keeping import Keeper
from lingting.cli.output import Output, shown
from lingting.cli.stopping import StoppableInput, Stops
from lingting.cli.targets import check_writable, is_finished, make_folder
from lingting.errors import AudioPathUnreadable, LingtingError

if TYPE_CHECKING:
    from lingting.pipeline import Progress, Source, Transcriber
    from lingting.transcript import Damage, Transcript

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of each transcript."""

    formats: tuple[str, ...] = ()
    """Written to the targets, in their order."""
    stdout: Literal["nothing", "text", "json", "format"] = "text"
    """``format`` writes the one format to stdout instead of a file."""
    words: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One recording and where its results go."""

    input: Input
    targets: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a job."""

    status: Status
    transcript: Transcript | None = None
    error: LingtingError | None = None
    recording_id: str | None = None
    """Where it is in the history, when it was kept."""

    @property
    def has_gaps(self) -> bool:
        """Some of its speech could not be recognised."""
        return self.transcript is not None and bool(self.transcript.failures)


class Batch:
    """The run of one command."""

    def __init__(
        self,
        jobs: Sequence[Job],
        wish: Wish,
        output: Output,
        stops: Stops,
        keeper: Keeper | None = None,
    ) -> None:
        self._keeper = keeper
        self._jobs = jobs
        self._wish = wish
        self._output = output
        self._stops = stops
        self._settled = [self._settled_before(job) for job in jobs]
        self._results: list[Result] = []

    @property
    def needs_engine(self) -> bool:
        """False when everything is finished or wrong already: no model has to be loaded."""
        return any(result is None for result in self._settled)

    def run(self, transcriber: Transcriber | None) -> int:
        """The exit code. ``transcriber`` may be None when no engine is needed."""
        with open_display(self._output, len(self._jobs)) as display:
            try:
                self._run(transcriber, display)
            except KeyboardInterrupt as stop:
                self._say_how_to_go_on()
                return code_of_stop(stop)
        self._sum_up(display)
        is_whole = all(one.status != "failed" and not one.has_gaps for one in self._results)
        return DONE if is_whole else SOME_FAILED

    def _settled_before(self, job: Job) -> Result | None:
        """Failed or skipped before any audio is read; None for what there is to do."""
        if job.input.error is not None:
            return Result("failed", error=job.input.error)
        if not self._wish.force and is_finished(job.input, job.targets) and self._is_kept(job):
            return Result("skipped")
        if job.input.is_stdin and (sys.stdin is None or sys.stdin.isatty()):
            return Result(
                "failed",
                error=AudioPathUnreadable(
                    "Standard input brings no recording.", "Pipe one into this command."
                ),
            )
        try:
            for folder in {target.parent for target in job.targets}:
                check_writable(folder)
        except LingtingError as error:
            return Result("failed", error=error)
        return None

    def _is_kept(self, job: Job) -> bool:
        """Nothing has to be kept any more."""
        return self._keeper is None or self._keeper.has(job.input)

    def _run(self, transcriber: Transcriber | None, display: Display) -> None:
        results = self._recognised(transcriber, display)
        with closing(results):
            for at, job in enumerate(self._jobs):
                self._stops.check()
                result = self._settled[at] or next(results)
                if result.transcript is not None:
                    result = self._written(job, result.transcript)
                self._results.append(result)
                self._tell(job, result)
                audio_s = result.transcript.duration_s if result.transcript else 0.0
                display.tally.close(str(at), audio_s)
                display.refresh()

    def _recognised(
        self, transcriber: Transcriber | None, display: Display
    ) -> Generator[Result, None, None]:
        """Results of the jobs that were not settled before, in their order."""
        if transcriber is None:
            return

        def moved(progress: Progress) -> None:
            self._stops.check()
            display.tally.moved(progress.key, progress.done_s, progress.total_s)
            display.refresh(self._jobs[int(progress.key)].input.name)

        for outcome in transcriber.transcribe_many(self._sources(), moved):
            if outcome.error is not None:
                yield Result("failed", error=outcome.error)
            else:
                yield Result("done", transcript=outcome.transcript)

    def _sources(self) -> Iterator[Source]:
        from lingting.pipeline import Source

        for at, job in enumerate(self._jobs):
            if self._settled[at] is None:
                given = self._stdin() if job.input.is_stdin else job.input.name
                if self._keeper is not None:
                    if job.input.is_stdin:
                        given = self._keeper.receive(job.input, given)
                    self._keeper.note(job.input)
                yield Source(given, key=str(at))

    def _stdin(self) -> Any:
        """A file that was redirected is read as a file; a pipe so that it can be stopped."""
        if sys.stdin.seekable():
            return sys.stdin.buffer
        return StoppableInput(sys.stdin.fileno(), self._stops)

    def _written(self, job: Job, transcript: Transcript) -> Result:
        """Save every format and keep it; what cannot be saved is this recording's failure."""
        from lingting.text.writers import save, write

        title = shown(job.input.path.stem) if job.input.path else None
        try:
            # No targets where the one format goes to stdout.
            for target, name in zip(job.targets, self._wish.formats, strict=False):
                make_folder(target.parent)
                save(target, write(transcript, name, words=self._wish.words, title=title))
            kept = self._keeper.keep(job.input, transcript) if self._keeper else None
        except Exception as exc:
            return Result("failed", error=explained(exc, self._output))
        recording_id = kept.recording.id if kept else None
        return Result("done", transcript=transcript, recording_id=recording_id)

    def _tell(self, job: Job, result: Result) -> None:
        """Data on stdout, then what a person should know on stderr."""
        if self._wish.stdout == "json":
            self._output.record(_record(job, result))
        elif result.transcript is not None and self._wish.stdout != "nothing":
            self._print(job, result.transcript)
        if result.error is not None:
            self._output.error(result.error, job.input.name)
        if result.transcript is not None:
            for warning in _warnings(result.transcript):
                self._output.warn(f"{shown(job.input.name)}: {warning}")
            for note in result.transcript.notes:
                self._output.detail(f"{shown(job.input.name)}: {note}")
        if self._has_lines and result.error is None:
            self._output.note(f"{self._place()} {shown(job.input.name)}: {_line(job, result)}")
        elif result.transcript is not None and _without_text(result.transcript):
            self._output.note(f"{shown(job.input.name)}: {_without_text(result.transcript)}")

    @property
    def _has_lines(self) -> bool:
        return len(self._jobs) > 1 or self._wish.stdout == "nothing"

    def _place(self) -> str:
        return f"[{len(self._results)}/{len(self._jobs)}]"

    def _print(self, job: Job, transcript: Transcript) -> None:
        from lingting.text.writers import write

        if self._wish.stdout == "format":
            data = write(transcript, self._wish.formats[0], words=self._wish.words)
            self._output.data_bytes(data)
            return
        if len(self._jobs) > 1:
            between = "\n" if any(one.transcript for one in self._results[:-1]) else ""
            self._output.data(f"{between}==> {shown(job.input.name)} <==\n")
        self._output.data(write(transcript, "txt").decode())

    def _sum_up(self, display: Display) -> None:
        if not self._has_lines:
            return
        count = {name: sum(one.status == name for one in self._results) for name in _STATUSES}
        counts = ", ".join(f"{number} {name}" for name, number in count.items() if number)
        tally = display.tally
        speed = ""
        if tally.audio_s:
            took = f"{clock(tally.audio_s)} of audio in {clock(tally.wall_s)}"
            speed = f"; {took} (RTFx {tally.rtfx:.1f})"
        files = "1 file" if len(self._results) == 1 else f"{len(self._results)} files"
        self._output.note(f"{files}: {counts}{speed}")

    def _say_how_to_go_on(self) -> None:
        finished = sum(one.status != "failed" for one in self._results)
        text = f"Stopped after {finished} of {len(self._jobs)} files; what is written is whole."
        if any(job.targets for job in self._jobs):
            text += " Run the same command again to go on: finished files are skipped."
        self._output.warn(text)


_STATUSES: tuple[Status, ...] = ("done", "skipped", "failed")


def _record(job: Job, result: Result) -> dict[str, Any]:
    """One line of ``--json``."""
    record: dict[str, Any] = {"file": job.input.name, "status": result.status}
    if result.transcript is not None:
        record["transcript"] = result.transcript.as_dict()
    if result.error is not None:
        record["error"] = result.error.as_dict()
    if result.recording_id is not None:
        record["recording"] = result.recording_id
    written = job.targets if result.status != "failed" else ()
    return {**record, "outputs": [str(target) for target in written]}


def _line(job: Job, result: Result) -> str:
    where = ", ".join(shown(str(target)) for target in job.targets)
    if result.transcript is None:
        return f"skipped, {where} is newer; --force does it again"
    heard = f"{result.transcript.duration_s:.1f} s of audio"
    if without := _without_text(result.transcript):
        heard += f", {without}"
    if result.recording_id is not None:
        heard += f", kept as {result.recording_id}"
    return f"{heard} -> {where}" if where else heard


def _without_text(transcript: Transcript) -> str:
    """Why there is none; "" where there is text, or an error that says it already."""
    if transcript.text or transcript.failures:
        return ""
    if not transcript.speech_s:
        return "no speech found"
    return f"{transcript.speech_s:.1f} s of speech, but no text that can be trusted"


def _warnings(transcript: Transcript) -> Iterator[str]:
    gaps = len(transcript.failures)
    if gaps:
        first = transcript.failures[0]
        yield (
            f"warning: {gaps} of {len(transcript.segments)} segments could not be recognised: "
            f"{first.message} [{first.code}]"
        )
    if transcript.damage:
        yield f"warning: the recording is damaged: {_damage(transcript.damage)}"


def _damage(damage: Damage) -> str:
    parts = []
    if damage.frames:
        parts.append(f"{damage.frames} broken frames")
    if damage.truncated:
        parts.append(f"{damage.missing_s:.1f} s missing at its end")
    if damage.invalid_samples:
        parts.append(f"{damage.invalid_samples} samples that are no numbers")
    return ", ".join(parts)
