"""What the toolkit does to a process stays behind this fence.

The toolkit prints, logs to the root logger (transcripts among it, and so installs a handler where
there is none), sets seeds, thread counts and warning filters, and asks hubs when a string looks
like a name. Code inside :meth:`Fence.inside` can do none of that to the rest of the process: what a
thread inside prints or logs on the root logger vanishes, its look-ups of host names fail, and
everything process-wide is put back when the last thread leaves. Threads outside notice nothing.

What the toolkit logs while it swallows an exception is the only trace of a root cause, so the fence
keeps that exception: :attr:`Visit.cause`.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np


@dataclass
class Visit:
    """One thread's stay inside the fence."""

    cause: BaseException | None = None
    """The last exception that was logged and swallowed; None when there was none."""


class NetworkRefused(OSError):
    """The toolkit wanted to leave the machine."""


class Fence:
    """Process-wide; use the one instance :data:`FENCE`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._here = threading.local()
        self._visitors = 0
        self._put_back: list[Any] = []
        self._threads_before: int | None = None

    @contextmanager
    def inside(self, threads: int | None = None) -> Iterator[Visit]:
        """Run toolkit code. ``threads`` sets PyTorch's count for as long as somebody is inside."""
        visit = Visit()
        outer = self._visit
        self._enter(threads)
        self._here.visit = visit
        try:
            yield visit
        finally:
            self._here.visit = outer
            self._leave()

    @contextmanager
    def loading(self) -> Iterator[Visit]:
        """:meth:`inside`, and also seeds, warning filters and variables are put back."""
        with _LOADING, _restored_randomness(), _restored_environment(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with self.inside() as visit:
                yield visit

    @property
    def _visit(self) -> Visit | None:
        return getattr(self._here, "visit", None)

    def is_inside(self) -> bool:
        """Whether the calling thread runs toolkit code now."""
        return self._visit is not None

    def note(self, cause: BaseException | None) -> None:
        """Remember what the toolkit is about to forget."""
        if self._visit is not None and cause is not None:
            self._visit.cause = cause

    def _enter(self, threads: int | None) -> None:
        with self._lock:
            self._visitors += 1
            if self._visitors == 1:
                self._put_back = [_quiet_streams(self), _quiet_logging(self), _no_network(self)]
            if threads is not None:
                import torch

                if self._threads_before is None:
                    self._threads_before = torch.get_num_threads()
                torch.set_num_threads(threads)

    def _leave(self) -> None:
        with self._lock:
            self._visitors -= 1
            if self._visitors:
                return
            for put_back in reversed(self._put_back):
                put_back()
            self._put_back = []
            if self._threads_before is not None:
                import torch

                torch.set_num_threads(self._threads_before)
                self._threads_before = None


class _Muted:
    """A stream that drops what threads inside the fence write, and is the real one otherwise."""

    def __init__(self, stream: TextIO, fence: Fence) -> None:
        self._stream = stream
        self._fence = fence

    def write(self, text: str) -> int:
        return len(text) if self._fence.is_inside() else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _quiet_streams(fence: Fence) -> Any:
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    ours = {name: _Muted(stream, fence) for name, stream in before.items() if stream is not None}
    for name, stream in ours.items():
        setattr(sys, name, stream)

    def put_back() -> None:
        for name, stream in ours.items():
            if getattr(sys, name) is stream:  # else somebody has set his own since
                setattr(sys, name, before[name])

    return put_back


class _Gate(logging.Filter):
    """On the root logger: nothing from inside passes, swallowed exceptions are remembered."""

    def __init__(self, fence: Fence) -> None:
        super().__init__()
        self._fence = fence

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - logging's signature
        if not self._fence.is_inside():
            return True
        self._fence.note(sys.exc_info()[1])
        return False


class _LastResort(logging.Handler):
    """Keeps ``logging.info`` from configuring a root logger that has no handler.

    For threads outside it does what happens without any handler.
    """

    def __init__(self, fence: Fence) -> None:
        super().__init__()
        self._fence = fence

    def emit(self, record: logging.LogRecord) -> None:
        usual = logging.lastResort
        if usual is not None and not self._fence.is_inside() and record.levelno >= usual.level:
            usual.handle(record)


def _quiet_logging(fence: Fence) -> Any:
    root = logging.getLogger()
    gate, stand_in = _Gate(fence), _LastResort(fence)
    root.addFilter(gate)
    if not root.handlers:
        root.addHandler(stand_in)

    def put_back() -> None:
        root.removeFilter(gate)
        root.removeHandler(stand_in)

    return put_back


def _no_network(fence: Fence) -> Any:
    """Every client of every library looks a host up before it connects."""
    usual = socket.getaddrinfo

    def refuse_inside(*arguments: Any, **options: Any) -> Any:
        if fence.is_inside():
            raise NetworkRefused("the FunASR toolkit runs without a network here")
        return usual(*arguments, **options)

    socket.getaddrinfo = refuse_inside

    def put_back() -> None:
        if socket.getaddrinfo is refuse_inside:
            socket.getaddrinfo = usual

    return put_back


@contextmanager
def _restored_randomness() -> Iterator[None]:
    """Building a model sets every seed to 0, so a caller's own draws would repeat."""
    import torch

    python, legacy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.set_rng_state(pytorch)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def _restored_environment() -> Iterator[None]:
    """The toolkit sets a variable for a library that we do not use."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)


_LOADING = threading.Lock()
FENCE = Fence()
