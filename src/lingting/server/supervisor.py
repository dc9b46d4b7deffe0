"""One process that keeps the others running: starts them, starts them again, stops them in order.

Each child is a command of its own session, so Ctrl-C reaches only the supervisor, and whatever a
child left behind can be ended with it. The kernel ends the children when the supervisor is killed.
What they print goes into one log file as JSON lines, and to the terminal in short.
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, Any

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""After this long the next death is a first one."""
EARLY_S = 20.0
WRONG_REQUEST = 2
_LOOK_EVERY_S = 0.1
_LINE_BYTES = 64 << 10
_LOG_BYTES = 16 << 20
_LOG_FILES = 5
_WAITING_LINES = 1_000
_SHOWN_CHARS = 200

_LEASH = (
    "import ctypes,os,sys\n"
    "ctypes.CDLL(None).prctl(1,15,0,0,0)\n"  # PR_SET_PDEATHSIG, SIGTERM
    "if os.getppid()!=int(sys.argv[1]): sys.exit(143)\n"
    "os.execvp(sys.argv[2],sys.argv[2:])\n"
)
"""The kernel sends SIGTERM when the parent is gone; this survives the exec."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Command:
    """A process to keep running. They are stopped in the order they are given."""

    name: str
    arguments: tuple[str, ...]
    stop_s: float = 10.0
    """How long it may take to stop in good order."""
    is_fatal: bool = False
    """When it refuses its request right at the start, everything stops."""


@dataclass(eq=False, slots=True)
class _Child:
    command: Command
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    started_at: str = ""
    restarts: int = 0
    pause_s: float = FIRST_PAUSE_S
    due_s: float = 0.0
    last_exit: int | None = None
    has_been_steady: bool = False

    def state(self, now_s: float) -> dict[str, Any]:
        is_up = self.process is not None
        return {
            "pid": self.process.pid if self.process is not None else None,
            "is_running": is_up,
            "started_at": self.started_at or None,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "next_start_s": None if is_up else round(max(0.0, self.due_s - now_s), 1),
        }


@dataclass(slots=True)
class LogBook:
    """Lines of all processes: JSON lines in a file that is turned over, short ones to ``say``.

    Neither a full disk nor a terminal that stands still holds a process up.
    """

    folder: Path
    say: Say
    _waiting: queue.Queue[str] = field(default_factory=lambda: queue.Queue(_WAITING_LINES))
    _file: logging.Logger | None = None

    def open(self) -> None:
        threading.Thread(target=self._show, name="terminal", daemon=True).start()
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handler = _Rotating(
                self.folder / "service.jsonl", maxBytes=_LOG_BYTES, backupCount=_LOG_FILES,
                encoding="utf-8", delay=True,
            )  # fmt: skip
            logger = logging.Logger("lingting.service")  # of its own
            logger.addHandler(handler)
            self._file = logger

    def note(self, process: str, line: str) -> None:
        """One line that a process has printed."""
        told = _parsed(line)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"at": now, "process": process, **told}
        if self._file is not None:
            self._file.info("%s", json.dumps(record, ensure_ascii=False))
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(f"{process:<8}{_short(told)}")

    def _show(self) -> None:
        while True:
            line = self._waiting.get()
            with contextlib.suppress(Exception):
                self.say(line)


class _Rotating(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk: the line is lost, the service goes on."""


class Supervisor:
    """Runs in the main thread: the kernel's promise about dead parents is about threads."""

    def __init__(
        self,
        commands: Sequence[Command],
        book: LogBook,
        *,
        on_change: Callable[[Mapping[str, Any]], None] = lambda _: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._children = [_Child(command) for command in commands]
        self._book = book
        self._on_change = on_change
        self._environment = environment
        self._stops = 0
        self._exit_code = 0

    def run(self) -> int:
        """Until it is asked to stop; 0, or the code of a child that could not start at all."""
        with self._signals():
            for child in self._children:
                self._start(child)
            self._tell()
            while not self._stops:
                changes = [self._look(child) for child in self._children]
                if any(changes):
                    self._tell()
                time.sleep(_LOOK_EVERY_S)
            self._stop_all()
        return self._exit_code

    def stop(self) -> None:
        """As a first Ctrl-C; a second one does not wait."""
        self._stops += 1

    def _signals(self) -> contextlib.ExitStack:
        stack = contextlib.ExitStack()

        def handle(signum: int, frame: FrameType | None) -> None:
            del signum, frame
            self.stop()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            before = signal.signal(number, handle)
            stack.callback(signal.signal, number, before)
        return stack

    def _start(self, child: _Child) -> None:
        leash = (sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()))
        try:
            child.process = subprocess.Popen(  # noqa: S603 - our own commands
                [*leash, *child.command.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=None if self._environment is None else dict(self._environment),
            )
        except OSError as exc:
            self._book.note("serve", f"{child.command.name} cannot be started: {exc.strerror}")
            self._plan(child)
            return
        child.started_s = time.monotonic()
        child.started_at = datetime.now(UTC).isoformat(timespec="seconds")
        assert child.process.stdout is not None
        threading.Thread(
            target=self._listen, args=(child.command.name, child.process.stdout), daemon=True
        ).start()

    def _listen(self, name: str, pipe: IO[bytes]) -> None:
        with pipe:
            while line := pipe.readline(_LINE_BYTES):
                self._book.note(name, line.decode("utf-8", "replace").rstrip("\r\n"))

    def _look(self, child: _Child) -> bool:
        """Whether anything changed: it died, or was started again."""
        now_s = time.monotonic()
        if child.process is None:
            if now_s < child.due_s:
                return False
            child.restarts += 1
            self._start(child)
            return True
        code = child.process.poll()
        if code is None:
            return False
        self._bury(child, code)
        lived_s = now_s - child.started_s
        if lived_s > STEADY_S:
            child.pause_s = FIRST_PAUSE_S
        is_refused = code == WRONG_REQUEST and not child.restarts and lived_s < EARLY_S
        if child.command.is_fatal and is_refused:
            self._exit_code = code
            self.stop()
            return True
        self._book.note(
            "serve",
            f"{child.command.name} ended ({_told(code)}); starting it again in {child.pause_s:g} s",
        )
        self._plan(child)
        return True

    def _plan(self, child: _Child) -> None:
        child.process = None
        child.due_s = time.monotonic() + child.pause_s
        child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)

    def _bury(self, child: _Child, code: int) -> None:
        """Nothing that it started outlives it."""
        assert child.process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.last_exit = code

    def _stop_all(self) -> None:
        """One after the other, in the order of the commands."""
        self._book.note("serve", "stopping; once more to stop at once")
        for child in self._children:
            process = child.process
            if process is None:
                continue
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            until_s = time.monotonic() + child.command.stop_s
            while process.poll() is None and time.monotonic() < until_s and self._stops < 2:
                time.sleep(_LOOK_EVERY_S / 2)
            if process.poll() is None:
                self._book.note("serve", f"{child.command.name} did not stop in time and is ended")
                process.kill()
            self._bury(child, process.wait())
            child.process = None
            self._tell()
        self._book.note("serve", "stopped")

    def _tell(self) -> None:
        now_s = time.monotonic()
        self._on_change({one.command.name: one.state(now_s) for one in self._children})


def _parsed(line: str) -> dict[str, Any]:
    if line.startswith("{"):
        try:
            found = json.loads(line)
        except ValueError:
            return {"message": line}
        if isinstance(found, dict):
            return found
    return {"message": line}


def _short(told: Mapping[str, Any]) -> str:
    """``fault incident=ab12 code=store.busy``"""
    if set(told) == {"message"}:
        text = str(told["message"])
    else:
        rest = {name: one for name, one in told.items() if name not in _HEADS}
        head = told.get("event") or told.get("message") or ""
        text = " ".join([str(head), *(f"{name}={one}" for name, one in rest.items())])
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= _SHOWN_CHARS else shown[: _SHOWN_CHARS - 1] + "…"


_HEADS = frozenset({"at", "level", "event", "message", "process", "time", "timestamp"})


def _told(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
