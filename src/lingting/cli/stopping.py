"""Ctrl-C and SIGTERM: the first stops in good order, a second one ends the process at once.

The first raises KeyboardInterrupt in the main thread, so every ``with`` and ``finally`` runs: half
a file is taken away, finished ones stay. Native code cannot be interrupted; a thread that reads the
signals from a pipe says so meanwhile, and ends the process when it is asked a second time.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = "Stopping … once more to stop at once."
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAME_PRESS_S = 0.3
_LOOK_EVERY_S = 0.2
_LAST_WORD_S = 5.0  # stderr may be a pipe that nobody reads
_READ_BYTES = 1 << 20
_SHOW_CURSOR = "\x1b[?25h"


class Stopped(KeyboardInterrupt):
    """Somebody asked to stop."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Stops:
    """Remembers that somebody asked, in case an exception is lost in foreign code."""

    def __init__(self) -> None:
        self._signum: int | None = None

    def handle(self, signum: int, frame: FrameType | None) -> None:
        del frame
        if self._signum is None:
            self._signum = signum
            raise Stopped(signum)

    @property
    def is_asked(self) -> bool:
        """Somebody wants it to stop; may be asked from any thread."""
        return self._signum is not None

    def check(self) -> None:
        """Raises Stopped when a stop was asked for."""
        if self._signum is not None:
            raise Stopped(self._signum)


class StoppableInput:
    """Standard input as a stream that ends when a stop is asked for.

    A thread that waits for a pipe nobody writes to could not be ended otherwise.
    """

    def __init__(self, descriptor: int, stops: Stops) -> None:
        self._descriptor = descriptor
        self._stops = stops

    def read(self, size: int = -1) -> bytes:
        """What is there, at most ``size`` bytes; nothing at the end."""
        if size == 0:
            return b""
        while not self._stops.is_asked:
            if select.select([self._descriptor], [], [], _LOOK_EVERY_S)[0]:
                return os.read(self._descriptor, size if size > 0 else _READ_BYTES)
        return b""


@contextmanager
def stoppable() -> Iterator[Stops]:
    """Both signals raise Stopped inside. Outside the main thread nothing is changed."""
    stops = Stops()
    if threading.current_thread() is not threading.main_thread():
        yield stops
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, stops.handle) for number in _SIGNALS}
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reader,), name="lingting-stop", daemon=True)
    watcher.start()
    try:
        yield stops
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)  # the watcher reads the end of the pipe and goes
        watcher.join(_LAST_WORD_S)  # what it says belongs before what is said after it


def _watch(reader: int) -> None:
    """Wrappers pass a Ctrl-C on that the terminal has already sent: two within 0.3 s are one."""
    first_s: float | None = None
    with open(reader, "rb", buffering=0) as pipe:
        while received := pipe.read(64):
            numbers = [number for number in received if number in _SIGNALS]
            if not numbers:
                continue
            if first_s is None:
                first_s = time.monotonic()
                _say(f"\n{STOPPING}\n")
            elif time.monotonic() - first_s > _SAME_PRESS_S:
                if sys.stderr is not None and sys.stderr.isatty():
                    _say(_SHOW_CURSOR)
                os._exit(128 + numbers[0])


def _say(text: str) -> None:
    """Straight to the descriptor: the main thread may hold the stream's lock."""
    try:
        os.write(2, text.encode())
    except OSError:
        return
