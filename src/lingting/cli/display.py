"""How far a run is: one bar on a terminal, a line per recording elsewhere. All on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from lingting.cli.output import Output, shown

if TYPE_CHECKING:
    from lingting.models import OnProgress
    from lingting.models import Progress as PullProgress

_NAME_CHARS = 40
_MEBIBYTE = 1 << 20


class Tally:
    """What a run has done so far; the figures behind every display."""

    def __init__(self, files: int) -> None:
        self.files = files
        self.closed = 0
        self._begun_s = time.monotonic()
        self._partial: dict[str, tuple[float, float | None]] = {}
        self._closed_audio_s = 0.0

    def moved(self, key: str, done_s: float, total_s: float | None) -> None:
        """Text of a recording is known up to ``done_s``."""
        self._partial[key] = (done_s, total_s)

    def close(self, key: str, audio_s: float) -> None:
        """A recording is finished, whatever became of it; ``audio_s`` is 0 if nothing was read."""
        self._partial.pop(key, None)
        self._closed_audio_s += audio_s
        self.closed += 1

    @property
    def audio_s(self) -> float:
        return self._closed_audio_s + sum(done_s for done_s, _ in self._partial.values())

    @property
    def wall_s(self) -> float:
        return time.monotonic() - self._begun_s

    @property
    def rtfx(self) -> float:
        return self.audio_s / self.wall_s if self.wall_s > 0 else 0.0

    @property
    def share(self) -> float:
        """Files done, with the begun ones by their part; a length nobody knows counts as half."""
        begun = sum(
            min(done_s / total_s, 1.0) if total_s else 0.5
            for done_s, total_s in self._partial.values()
        )
        return min(self.closed + begun, float(self.files))

    @property
    def left_s(self) -> float | None:
        """Wall seconds to go at the speed so far; None before anything is known."""
        share = self.share
        return None if share <= 0 else self.wall_s * (self.files - share) / share


class Display:
    """Nothing but lines: for logs, pipes and ``--quiet``."""

    def __init__(self, output: Output, tally: Tally) -> None:
        self._output = output
        self.tally = tally

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def refresh(self, name: str | None = None) -> None:
        """Something moved; ``name`` is the recording it moved in."""


class Bar:
    """One line at the bottom of the terminal that steps aside for everything else."""

    def __init__(self, output: Output, *columns: Any) -> None:
        """``columns`` as rich's ``Progress`` takes them."""
        from rich.console import Console
        from rich.progress import Progress

        self._output = output
        self.progress: Any = Progress(
            *columns,
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=4,
        )

    def __enter__(self) -> Self:
        self.progress.start()
        self._output.draw_with(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._output.draw_with(None)
        self.progress.stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Away for as long as the block takes."""
        self.progress.stop()
        try:
            yield
        finally:
            self.progress.start()


class BarDisplay(Display):
    """For people who watch."""

    def __init__(self, output: Output, tally: Tally) -> None:
        super().__init__(output, tally)
        from rich.progress import BarColumn, TextColumn

        self._bar = Bar(
            output,
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}", markup=False),
            TextColumn("{task.fields[name]}", markup=False),
        )
        self._task = self._bar.progress.add_task(
            "", total=float(tally.files), figures=_figures(tally), name="opening"
        )

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.__exit__(*exc)

    def refresh(self, name: str | None = None) -> None:
        fields: dict[str, Any] = {"figures": _figures(self.tally)}
        if name is not None:
            fields["name"] = _shortened(shown(name))
        self._bar.progress.update(self._task, completed=self.tally.share, **fields)


def open_display(output: Output, files: int) -> Display:
    """The bar where a person watches, else the lines."""
    tally = Tally(files)
    if output.has_terminal and not output.is_quiet:
        return BarDisplay(output, tally)
    return Display(output, tally)


@contextmanager
def pull_display(output: Output) -> Iterator[OnProgress | None]:
    """A listener for ``models.pull``: a bar on a terminal, a line per phase elsewhere."""
    if output.is_quiet:
        yield None
    elif not output.has_terminal:
        yield _PhaseLines(output)
    else:
        with _pull_bar(output) as listener:
            yield listener


class _PhaseLines:
    def __init__(self, output: Output) -> None:
        self._output = output
        self._last: tuple[str, str] | None = None

    def __call__(self, progress: PullProgress) -> None:
        now = (progress.model, progress.phase)
        if now != self._last:
            self._last = now
            self._output.note(f"{progress.model}: {_PHASES.get(progress.phase, progress.phase)}")


_PHASES = {
    "wait": "waiting for another process",
    "download": "downloading",
    "unpack": "unpacking",
    "copy": "copying",
    "verify": "verifying",
    "done": "ready",
}


@contextmanager
def _pull_bar(output: Output) -> Iterator[OnProgress]:
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    bar = Bar(
        output,
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    tasks: dict[tuple[str, str], Any] = {}

    def listen(progress: PullProgress) -> None:
        key = (progress.model, progress.phase)
        if key not in tasks:
            for old in tasks.values():
                bar.progress.update(old, visible=False)
            tasks[key] = bar.progress.add_task(f"{progress.model}: {_PHASES.get(key[1], key[1])}")
        bar.progress.update(tasks[key], completed=progress.done_bytes, total=progress.total_bytes)

    with bar:
        yield listen


def _figures(tally: Tally) -> str:
    rate = f"  {tally.rtfx:.1f}x" if tally.audio_s else ""
    files = f"{tally.closed}/{tally.files} files"
    return f"{files}  {clock(tally.audio_s)} of audio{rate}{left(tally.left_s)}"


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_CHARS else f"…{name[1 - _NAME_CHARS :]}"


def left(time_s: float | None) -> str:
    """``  2:05 left``; nothing while nobody knows."""
    return "" if time_s is None else f"  {clock(time_s)} left"


def clock(time_s: float) -> str:
    """``2:05`` or ``1:02:05``."""
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def size(size_bytes: int) -> str:
    """``141.4 MiB``; ``?`` when it is not known."""
    if size_bytes <= 0:
        return "?"
    if size_bytes < _MEBIBYTE:
        return f"{size_bytes / 1024:.0f} KiB"
    return f"{size_bytes / _MEBIBYTE:.1f} MiB"
