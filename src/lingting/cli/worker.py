"""``lingting worker``: the process that turns submitted recordings into transcripts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.loading import VAD_MODEL
from lingting.cli.options import Verbose
from lingting.cli.output import Output

if TYPE_CHECKING:
    from lingting.config import Settings
    from lingting.engines.base import Engine

_PATIENCE_S = 5.0
"""Then the worker looks whether the job is still wanted, and asks again."""


def worker(
    slots: Annotated[
        int | None,
        typer.Option(
            "--slots",
            min=1,
            max=1024,
            help="Recordings under way at a time; LINGTING_WORKER_SLOTS.",
        ),
    ] = None,
    readers: Annotated[
        int | None,
        typer.Option(
            "--readers",
            min=1,
            max=256,
            help="Processes that read recordings; LINGTING_READERS.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", hidden=True)] = None,
    verbose: Verbose = False,
) -> None:
    """Run a worker alone: it takes up submitted recordings and asks the engine hosts.

    `lingting serve` starts one; start more on this machine, or on others that share the database
    (LINGTING_DATABASE_URL) and the audio (LINGTING_BLOB_URL), when there is more to do. Ctrl-C or
    SIGTERM stops behind the groups that are under way; whatever ends it, another one goes on.

    \b
    Example:
      lingting worker --slots 96
    """
    out = Output(verbose=verbose)
    given = {"worker_slots": slots, "readers": readers, "model": model}
    raise typer.Exit(exit_code_of(out, lambda: _worker(given)))


def _worker(given: Mapping[str, Any]) -> int:
    from lingting import models, tracing
    from lingting.jobs.folders import scan_watched
    from lingting.jobs.worker import Chore, Worker, WorkerOptions
    from lingting.log import configure
    from lingting.store import open_store
    from lingting.store.chosen import in_force

    now = in_force("worker", {name: one for name, one in given.items() if one is not None})
    configure(now.log_level, now.log_format)
    tracing.configure(now.otel_endpoint, "worker")
    stop = threading.Event()

    def ask_to_stop(signum: int, _: object) -> None:
        if stop.is_set():  # a second time means now; another worker goes on
            os._exit(128 + signum)
        stop.set()

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, ask_to_stop)
    options = WorkerOptions(
        slots=now.worker_slots,
        readers=now.readers,
        max_duration_s=now.max_duration_s,
        model=now.model,
    )
    chores = [
        Chore("look into watched folders", 2.0, scan_watched()),
        Chore("retention and purges", 300.0, lambda store: store.apply_retention()),
    ]
    with open_store() as store:
        made = Worker(
            store,
            lambda model: _engine(now, model),
            models.ensure(VAD_MODEL),
            now.run_folder,
            options,
            chores=chores,
        )
        if not made.run(stop):
            tracing.close()
            os._exit(DONE)  # threads wait for an engine that does not answer
    tracing.close()
    return DONE


def _engine(now: Settings, model: str) -> Engine:
    """The engine hosts as one engine; ``auto`` is what they have for a default."""
    from lingting.engines.remote.pool import EnginePool

    addresses = now.engines or (f"unix:{now.engine_socket}",)
    return EnginePool(
        addresses, model=None if model == "auto" else model, lane="bulk", patience_s=_PATIENCE_S
    )
