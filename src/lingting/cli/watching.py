"""How far jobs of a service are, until they have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from lingting.cli.display import Bar, left
from lingting.cli.failures import DONE, SOME_FAILED
from lingting.cli.output import Output, record_of, shown

if TYPE_CHECKING:
    from lingting.client import Client
    from lingting.store import Batch, Event, Job

_ASK_EVERY_S = 0.5
"""A batch has thousands of events; what they add up to is asked for this often."""
_MOST_FAILURES = 20
_NAME_CHARS = 40


class Watch:
    """Follows jobs, or a batch, and shows them on stderr; events as JSON on stdout if wanted."""

    def __init__(self, output: Output, client: Client, *, json: bool) -> None:
        self._output = output
        self._client = client
        self._json = json

    def batch(self, batch_id: str) -> int:
        """Until nothing of it is left to do. The exit code."""
        with self._told_when_stopped(batch_id):
            return self._batch(batch_id)

    def jobs(self, jobs: Mapping[str, Job]) -> int:
        """Until all of them have ended. The exit code."""
        with self._told_when_stopped(" ".join(jobs)):
            return self._jobs(jobs)

    @contextmanager
    def _told_when_stopped(self, ids: str) -> Iterator[None]:
        """Who stops watching has stopped nothing else."""
        try:
            yield
        except KeyboardInterrupt:
            self._output.note(f"The service goes on: lingting watch {ids}")
            raise

    def _batch(self, batch_id: str) -> int:
        from lingting.client import when_there

        batch = self._client.batch(batch_id)
        with _bar(self._output, shown(batch.name)) as bar:
            bar.show_batch(batch)
            asked_s = time.monotonic()
            events = self._client.events(batch_id=batch_id)
            while not batch.is_finished:
                event = next(events)
                self._hear(event)
                is_end = event is None or event.kind == "batch.done"
                if is_end or time.monotonic() - asked_s > _ASK_EVERY_S:
                    batch = when_there(lambda: self._client.batch(batch_id))
                    asked_s = time.monotonic()
                    bar.show_batch(batch)
        if self._json:
            self._output.record({"batch": record_of(batch)})
        self._output.note(f"{shown(batch.name)}: {_counted(batch.counts)}")
        if batch.counts.get("failed"):
            for job in self._client.jobs(batch_id=batch_id, state="failed", limit=_MOST_FAILURES):
                self._tell(job)
        return DONE if set(batch.counts) <= {"done"} else SOME_FAILED

    def _jobs(self, jobs: Mapping[str, Job]) -> int:
        from lingting.client import when_there

        known = dict(jobs)
        with _bar(self._output, "") as bar:
            bar.show_jobs(known)
            only = next(iter(known)) if len(known) == 1 else None
            events = self._client.events(job_id=only)
            while not all(job.is_finished for job in known.values()):
                event = next(events)
                if event is None:
                    again = [id for id, job in known.items() if not job.is_finished]
                elif event.job_id in known:
                    self._hear(event)
                    again = [event.job_id]
                else:
                    continue
                for id in again:
                    known[id] = when_there(partial(self._client.job, id))
                bar.show_jobs(known)
        for job in known.values():
            if self._json:
                self._output.record({"job": record_of(job)})
            self._tell(job)
        return DONE if all(job.state == "done" for job in known.values()) else SOME_FAILED

    def _hear(self, event: Event | None) -> None:
        if event is not None and self._json:
            self._output.record({"event": record_of(event)})

    def _tell(self, job: Job) -> None:
        more = f": {job.error.message} [{job.error.code}]" if job.error is not None else ""
        if job.state == "done":
            more = f", recording {job.recording_id}"
        self._output.note(f"{job.id} {shown(job.name)}: {job.state}{more}")


class _Lines:
    """For logs and pipes: a line whenever another tenth is done."""

    def __init__(self, output: Output, name: str) -> None:
        self._output = output
        self._name = name
        self._tenths = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def show_batch(self, batch: Batch) -> None:
        self._show(_share(batch.done_s, batch.total_s), batch.eta_s, _counted(batch.counts))

    def show_jobs(self, jobs: Mapping[str, Job]) -> None:
        counts: dict[str, int] = {}
        for job in jobs.values():
            counts[job.state] = counts.get(job.state, 0) + 1
        known = [one.total_s for one in jobs.values()]
        total_s = sum(one or 0.0 for one in known) if all(known) else None
        done_s = sum(job.done_s for job in jobs.values())
        is_over = all(job.is_finished for job in jobs.values())
        share = 1.0 if is_over else _share(done_s, total_s)
        etas = [job.eta_s for job in jobs.values() if job.eta_s is not None]
        self._show(share, max(etas, default=None), _counted(counts))

    def _show(self, share: float, eta_s: float | None, counted: str) -> None:
        if int(share * 10) > self._tenths:
            self._tenths = int(share * 10)
            self._output.note(f"{self._name} {share:.0%} {counted}{left(eta_s)}".strip())


class _Bar(_Lines):
    """One line at the bottom of the terminal."""

    def __init__(self, output: Output, name: str) -> None:
        super().__init__(output, name)
        from rich.progress import BarColumn, TextColumn

        self._bar = Bar(
            output,
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[figures]}", markup=False),
        )
        self._task = self._bar.progress.add_task("", total=1.0, name=name[:_NAME_CHARS], figures="")

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.__exit__(*exc)

    def _show(self, share: float, eta_s: float | None, counted: str) -> None:
        self._bar.progress.update(self._task, completed=share, figures=f"{counted}{left(eta_s)}")


def _bar(output: Output, name: str) -> _Lines:
    is_drawn = output.has_terminal and not output.is_quiet
    made: Callable[[Output, str], _Lines] = _Bar if is_drawn else _Lines
    return made(output, name)


def _share(done_s: float, total_s: float | None) -> float:
    return min(done_s / total_s, 1.0) if total_s else 0.0


def _counted(counts: Mapping[Any, int]) -> str:
    order = ("done", "running", "queued", "paused", "failed", "cancelled")
    return ", ".join(f"{counts[state]} {state}" for state in order if counts.get(state))
