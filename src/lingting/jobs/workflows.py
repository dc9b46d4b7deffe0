"""Claimed jobs as durable workflows: one workflow for each claim, one step for each group.

A step returns how it ended and nothing that was said, so that a purge is a purge. A worker that is
started again goes on with the workflows it had; should the library have lost one, the rows know
better (see ``worker``).
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from lingting.errors import ExtraMissing
from lingting.store.database import IDLE_TIMEOUT_S

# Before the import: nothing of it may leave this machine, whatever a stranger's environment says.
for _name in [name for name in os.environ if name.startswith("DBOS_")]:
    del os.environ[_name]

try:
    from dbos import DBOS, DBOSConfig, SetWorkflowID
except ModuleNotFoundError as exc:
    raise ExtraMissing(
        "A worker needs dbos, which is not installed.", 'Run `pip install "lingting[server]"`.'
    ) from exc

APP_VERSION = "1"
"""Workflows of another version are not recovered: raise it when steps mean something else."""
_FILE = "dbos.sqlite"
_BATCH = 500
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]


class Run(Protocol):
    """A job on its way, as ``run.JobRun``."""

    def step(self) -> str: ...

    def close(self) -> None: ...


class _Worker:
    """The one of this process, while it runs: DBOS knows functions, not objects."""

    begin: Callable[[str, int], Run] | None = None
    end: Callable[[str, int, str], None] | None = None


@DBOS.workflow(name="transcribe")
def _transcribe(job_id: str, epoch: int) -> str:
    """All steps of a claim; how it ended."""
    assert _Worker.begin is not None
    assert _Worker.end is not None
    run = _Worker.begin(job_id, epoch)
    ending = "broken"
    try:
        while (ending := DBOS.run_step({"name": "group"}, run.step)) == "going":
            pass
        return ending
    finally:
        try:
            run.close()
        finally:  # or its slot were never free again
            _Worker.end(job_id, epoch, ending)


class Workflows:
    """DBOS for one worker, from ``open`` to ``close``. One in a process."""

    def __init__(
        self,
        folder: Path,
        url: str | None,
        executor_id: str,
        *,
        begin: Callable[[str, int], Run],
        end: Callable[[str, int, str], None],
        threads: int,
    ) -> None:
        """``url`` of Postgres; None keeps an SQLite file in ``folder``.

        ``begin`` and ``end`` are called in the thread of a workflow.
        """
        _Worker.begin, _Worker.end = begin, end
        _quiet()
        config: DBOSConfig = {
            "name": "lingting",
            "system_database_url": url or _sqlite_url(folder / _FILE),
            "application_version": APP_VERSION,
            "executor_id": executor_id,
            "max_executor_threads": threads + 8,  # its own threads come from there too
            "sys_db_pool_size": min(threads + 4, 20),
            "sys_db_idle_transaction_timeout_sec": IDLE_TIMEOUT_S,
            "enable_otlp": False,
            "log_level": "ERROR",
            "console_log_level": "ERROR",
            "scheduler_polling_interval_sec": 3600.0,
            # Nobody notifies anybody; but to end takes as long as one of these.
            "notification_listener_polling_interval_sec": 0.1,
        }
        if url is None:
            config["db_engine_kwargs"] = {"connect_args": {"factory": _Connection}}
        DBOS(config=config)
        DBOS.launch()

    def start(self, job_id: str, epoch: int) -> None:
        """Begin the workflow of a claim in a thread of its own; twice is once."""
        with SetWorkflowID(f"{job_id}-{epoch}"):
            DBOS.start_workflow(_transcribe, job_id, epoch)

    def forget_ended(self, age_s: float) -> int:
        """Remove what ended so long ago; how many."""
        before = (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat()
        count = 0
        while True:
            found = DBOS.list_workflows(
                status=_ENDED, completed_before=before, limit=_BATCH, load_input=False,
                load_output=False,
            )  # fmt: skip
            if found:
                DBOS.delete_workflows([one.workflow_id for one in found])
            count += len(found)
            if len(found) < _BATCH:
                return count

    def close(self) -> None:
        DBOS.destroy(workflow_completion_timeout_sec=0)
        _Worker.begin = _Worker.end = None


class _Connection(sqlite3.Connection):
    """The library's file is a diary: what it forgets in a power cut, the rows still know."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.execute("pragma busy_timeout = 30000")
        self.execute("pragma journal_mode = wal")
        self.execute("pragma synchronous = normal")


def _sqlite_url(file: Path) -> str:
    file.touch(mode=0o600, exist_ok=True)
    return f"sqlite:///{file}"


def _quiet() -> None:
    """Its log says what ours says already, and may quote what we gave it."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
