"""The one place that writes: data to stdout, everything else to stderr.

Data is UTF-8, except on a terminal that speaks another encoding. Every write is flushed, so a full
disk or a closed pipe is noticed here and not when the interpreter ends. A reader that has gone
(``| head``) ends the program silently with 141, as it ends any Unix tool.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol, TypeVar

from lingting.errors import LingtingError, OutputUnwritable

T = TypeVar("T")
READER_GONE = 141
_SHOWN_CHARS = 300
# Format characters that are part of ordinary names: Persian and emoji need the joiners.
_HARMLESS = frozenset("\u200c\u200d")


class Screen(Protocol):
    """Something drawn on the terminal that must step aside while text is written."""

    def aside(self) -> AbstractContextManager[object]: ...


class Output:
    """Where one command writes. ``quiet`` keeps notes back, never warnings and errors."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.is_quiet = quiet
        self.is_verbose = verbose
        self._screen: Screen | None = None

    @property
    def has_terminal(self) -> bool:
        """True when a person watches stderr, so that bars may be drawn."""
        return _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

    @property
    def is_data_on_terminal(self) -> bool:
        return _is_terminal(sys.stdout)

    def draw_with(self, screen: Screen | None) -> None:
        """The screen that steps aside for every line, until it is taken away with None."""
        self._screen = screen

    def check_data(self) -> None:
        """Raises OutputUnwritable where no data can ever be written: better before the work."""
        if sys.stdout is None:
            raise OutputUnwritable("Standard output is closed.", "Open it, or give --output.")

    def data(self, text: str) -> None:
        """Text of the result. Raises OutputUnwritable; ends the program when nobody reads."""
        stream = sys.stdout
        encoding = stream.encoding if stream is not None and _is_terminal(stream) else "utf-8"
        # Half a surrogate pair comes from a name that is no text; \udcff is also what JSON writes.
        self.data_bytes(text.encode(encoding or "utf-8", "backslashreplace"))

    def data_bytes(self, data: bytes) -> None:
        """A file's content, see :meth:`data`."""
        self.check_data()
        try:
            with self._aside():
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
        except BrokenPipeError:
            discard_stdout()
            raise SystemExit(READER_GONE) from None
        except OSError as exc:
            discard_stdout()
            raise OutputUnwritable(
                f"Standard output cannot be written: {exc.strerror or 'unknown reason'}.",
                "Free some space, or send it elsewhere.",
            ) from exc

    def record(self, value: Mapping[str, Any]) -> None:
        """One JSON object on one line."""
        self.data(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A drawn table on a terminal; else lines with tabs between the cells, for scripts."""
        if self.is_data_on_terminal:
            self.data(drawn(header, rows))
        else:
            lines = (header, *rows)
            self.data("".join("\t".join(map(shown, line)) + "\n" for line in lines))

    def listing(
        self,
        found: Sequence[T],
        header: Sequence[str],
        row: Callable[[T], Sequence[str]],
        *,
        as_json: bool,
    ) -> None:
        """Values of the store or the service: an object for each, or a table with a row of each."""
        if not as_json:
            self.table(header, [row(one) for one in found])
            return
        for one in found:
            self.record(record_of(one))

    def note(self, text: str) -> None:
        """Something good to know; not with --quiet."""
        if not self.is_quiet:
            self._say(text)

    def detail(self, text: str) -> None:
        """Something only --verbose shows."""
        if self.is_verbose:
            self._say(text)

    def warn(self, text: str) -> None:
        """Something that must be known, even with --quiet."""
        self._say(text)

    def error(self, error: LingtingError, name: str | None = None) -> None:
        """The sentence and the next step; the name of the file stands in front."""
        before = f"{shown(name)}: " if name is not None else ""
        self._say(f"{before}error: {error} [{error.code}]")

    def log(self, event: Mapping[str, Any]) -> None:
        """A JSON line for machines. It holds ids and numbers, no content and no names."""
        self._say(json.dumps(event))

    def _aside(self) -> AbstractContextManager[object]:
        return self._screen.aside() if self._screen is not None else nullcontext()

    def _say(self, text: str) -> None:
        stream = sys.stderr
        if stream is None:
            return
        try:
            with self._aside():
                data = f"{text}\n".encode(stream.encoding or "utf-8", "backslashreplace")
                stream.buffer.write(data)
                stream.buffer.flush()
        except OSError:
            return  # nobody can be told any more


def shown(name: str) -> str:
    """A file's name fit for one line of a terminal.

    Line breaks, control and direction characters, escape sequences and bytes that are no text are
    written out (``\\n``, ``\\x1b``, ``\\xff``), so that a name cannot pretend to be a message.
    """
    text = "".join(map(_shown_char, name))
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


def _shown_char(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, see PEP 383
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable() or char in _HARMLESS:
        return char
    if unicodedata.category(char) == "Zs":
        return " "
    return char.encode("unicode_escape").decode("ascii")


def record_of(value: Any) -> dict[str, Any]:
    """A value of the store or the service for :meth:`Output.record`; times as ISO 8601."""
    return {name: _plain(one) for name, one in asdict(value).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def local_time(time: datetime | None) -> str:
    """For people: this machine's time of day, or nothing."""
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M")


def drawn(header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """A table for people; cells are plain text, whatever brackets they hold."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in header:
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def discard_stdout() -> None:
    """What is still in the buffers goes nowhere, so that ending does not fail a second time."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
    finally:
        os.close(null)


def keep_standard_streams_apart() -> None:
    """Fill a closed stdin, stdout or stderr, lest the next opened file takes its number.

    A library that prints to number 1 would then write into somebody's transcript.
    """
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:  # closed
        return False
