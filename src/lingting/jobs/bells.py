"""Bells between processes of one machine: "look now", instead of waiting for the next look.

Everybody looks into the database now and then, and that alone is enough. A bell only makes it
sooner: it says nothing, may be missed, and does not reach other machines. Each listener has a named
pipe in a folder; whoever has changed something writes a byte into each of them.
"""

from __future__ import annotations

import os
import secrets
import select
from contextlib import suppress
from pathlib import Path
from typing import Literal

Who = Literal["web", "worker"]
_FOLDER = "bells"
_READ_BYTES = 65_536


class Bell:
    """One listener's, from now until ``close``. OSError where there can be no named pipe."""

    def __init__(self, run_folder: Path, who: Who) -> None:
        folder = run_folder / _FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{who}-{os.getpid()}-{secrets.token_hex(4)}"
        os.mkfifo(self._path, 0o600)
        # Open for writing too, or it would be at its end whenever nobody rings.
        self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        return self._pipe

    def hear(self) -> None:
        """However often it was rung until now."""
        with suppress(BlockingIOError):
            while len(os.read(self._pipe, _READ_BYTES)) == _READ_BYTES:
                pass

    def wait(self, seconds: float) -> bool:
        """Whether it was rung; for a thread."""
        ready, _, _ = select.select([self._pipe], [], [], seconds)
        if ready:
            self.hear()
        return bool(ready)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._pipe)


def ring(run_folder: Path, who: Who) -> None:
    """All of them. Never fails and never waits; what a process left that is gone is removed."""
    try:
        found = [one for one in os.scandir(run_folder / _FOLDER) if one.name.startswith(f"{who}-")]
    except OSError:
        return
    for one in found:
        try:
            pipe = os.open(one.path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # nobody listens
            with suppress(OSError):
                os.unlink(one.path)
            continue
        with suppress(OSError):  # full: it was rung often enough
            os.write(pipe, b".")
        os.close(pipe)
