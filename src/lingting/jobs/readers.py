"""The worker's side of its reading processes: so many of them, each replaced when it dies."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lingting.errors import BusyError
from lingting.jobs import exchange
from lingting.jobs.exchange import Gone, Part
from lingting.jobs.options import JobOptions

STALL_S = 120.0
"""A reading process that says nothing for so long is stuck in a decoder."""
_START_S = 120.0
_END_S = 5.0
_PATIENCE = 3
_ASIDE_S = 0.01


class ReaderDied(Exception):
    """The process ended while it worked on this recording.

    ``is_kill``: somebody ended it, a person or the system that ran out of memory; that need not be
    the recording's fault.
    """

    def __init__(self, *, is_kill: bool) -> None:
        super().__init__()
        self.is_kill = is_kill


class ReaderLost(Exception):
    """The process ended while it worked on another one: open it again."""


class _Process:
    """One reading process. Requests take turns, and the first one waits until it has started."""

    def __init__(self, vad_folder: Path, stall_s: float) -> None:
        self._stall_s = stall_s
        self.turn = threading.Lock()
        self.waiting = 0
        self.is_dead = False
        self._is_ready = False
        self._link, theirs = socket.socketpair()
        self._link.settimeout(_START_S)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [
                    sys.executable, "-m", "lingting.jobs.reader",
                    str(theirs.fileno()), str(os.getpid()), str(vad_folder),
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(theirs.fileno(),),
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: dict[str, Any]) -> Part:
        """The next part; holds ``turn``.

        Raises what is wrong with the recording, ReaderDied over it, ReaderLost before it, or
        BusyError when the process does not start.
        """
        self._get_ready()
        if self.is_dead or self._process.poll() is not None:
            self.end()
            raise ReaderLost
        try:
            exchange.send(self._link, request)
            while (found := exchange.receive(self._link))[0].get("kind") == "alive":
                pass
            header, body = found
            if header.get("kind") == "error":
                raise exchange.error_of(header)
            return exchange.part_of(header, body)
        except (Gone, TimeoutError) as exc:
            has_ended = isinstance(exc, Gone)  # or is stuck, and will not end by itself
            is_kill = has_ended and self._ended_by() in (-signal.SIGKILL, -signal.SIGTERM)
            self.end()
            raise ReaderDied(is_kill=is_kill) from exc

    def _get_ready(self) -> None:
        if self._is_ready or self.is_dead:
            return
        try:
            exchange.receive(self._link)
            self._link.settimeout(self._stall_s)
        except (Gone, OSError) as exc:
            self.end()
            raise BusyError("A process that reads recordings does not start.") from exc
        self._is_ready = True

    def _ended_by(self) -> int | None:
        """The exit code of a process whose end of the link is closed; None while it goes on."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_S)
        return None

    def forget(self, key: int) -> None:
        with suppress(Gone), self.turn:
            if not self.is_dead:
                exchange.send(self._link, {"op": "close", "key": key})

    def end(self) -> None:
        self.is_dead = True
        with suppress(OSError):
            self._link.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)


class OpenRecording:
    """A recording on its way through a reading process. One caller at a time."""

    def __init__(
        self, readers: Readers, key: int, path: Path, options: JobOptions, groups: int
    ) -> None:
        self._readers = readers
        self._key = key
        self._path = path
        self._options = options
        self._groups = groups
        self._process: _Process | None = None

    def next(self, on_part: Callable[[Part], None]) -> Part:
        """The next part. ``on_part`` is called before another recording gets its turn.

        A process that died over another recording is no news: this one is opened again, behind
        what was read of it. Raises the error of the recording, or ReaderDied.
        """
        losses = 0
        while losses < _PATIENCE:
            try:
                part = self._asked(on_part)
            except ReaderLost:
                self._process = None
                losses += 1
                continue
            if part.is_pause:
                time.sleep(_ASIDE_S)  # a lock knows no order: it is the turn of whoever waits
                continue
            if part.group is not None:
                self._groups = part.group.number + 1
            return part
        raise ReaderDied(is_kill=True)

    def _asked(self, on_part: Callable[[Part], None]) -> Part:
        is_new = self._process is None
        process = self._process or self._readers.least_busy()
        self._process = process
        request: dict[str, Any] = {"op": "next", "key": self._key}
        if is_new:
            request = {
                "op": "open",
                "key": self._key,
                "path": str(self._path),
                "options": self._options.as_dict(),
                "max_duration_s": self._readers.max_duration_s,
                "skip": self._groups,
            }
        process.waiting += 1
        try:
            with process.turn:
                part = process.ask(request)
                if not part.is_pause:
                    on_part(part)
                return part
        finally:
            process.waiting -= 1

    def close(self) -> None:
        """Let the process free it; calling it twice is fine."""
        process, self._process = self._process, None
        if process is not None:
            process.forget(self._key)


class Readers:
    """At most ``count`` processes, started when they are needed."""

    def __init__(
        self,
        vad_folder: Path,
        *,
        count: int,
        max_duration_s: float,
        stall_s: float = STALL_S,
    ) -> None:
        self.max_duration_s = max_duration_s
        self._vad_folder = vad_folder
        self._count = count
        self._stall_s = stall_s
        self._lock = threading.Lock()
        self._processes: list[_Process] = []
        self._keys = itertools.count()
        self._is_closed = False

    def open(self, path: Path, options: JobOptions, *, groups: int = 0) -> OpenRecording:
        """``groups`` that were read before are passed over. Nothing is opened yet."""
        return OpenRecording(self, next(self._keys), path, options, groups)

    def pids(self) -> list[int]:
        with self._lock:
            return [one.pid for one in self._processes if not one.is_dead]

    def least_busy(self) -> _Process:
        """A live process; a new one when there are too few."""
        with self._lock:
            if self._is_closed:
                raise ReaderLost
            self._processes = [one for one in self._processes if not one.is_dead]
            free = min(self._processes, key=lambda one: one.waiting, default=None)
            if free is None or (free.waiting and len(self._processes) < self._count):
                free = _Process(self._vad_folder, self._stall_s)
                self._processes.append(free)
            return free

    def close(self) -> None:
        """End them all; whoever waits for a part hears ReaderDied."""
        with self._lock:
            self._is_closed = True
            processes, self._processes = self._processes, []
        for one in processes:
            one.end()
