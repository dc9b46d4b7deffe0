"""What the benches of several systems share: how a system is named, and how it is held to cores."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """What is measured; ``batch`` 0 leaves it to the system how many clips run at once."""

    name: str
    compute: str
    batch: int = 0

    @property
    def label(self) -> str:
        return f"{self.name} {self.compute}" + (f" batch {self.batch}" if self.batch else "")


def pin(threads: int | None) -> int:
    """The thread count; every system gets as many cores as threads, helper threads included."""
    if not hasattr(os, "sched_setaffinity"):
        return threads or os.cpu_count() or 1
    cores = sorted(os.sched_getaffinity(0))
    threads = threads or len(cores)
    os.sched_setaffinity(0, set(cores[:threads]))
    return threads
