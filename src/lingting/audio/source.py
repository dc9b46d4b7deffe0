"""From what a caller hands over to a seekable stream of bytes that is safe to give to FFmpeg.

FFmpeg never sees a path: it would take ``concat:…`` or ``http://…`` for a protocol and follow it.
We open regular files ourselves, and the stream that it reads has no name.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lingting.errors import (
    AudioEmpty,
    AudioInvalid,
    AudioNotFound,
    AudioPathUnreadable,
    AudioTooLong,
)

_COPY_BYTES = 1 << 20
_SPOOL_IN_MEMORY_BYTES = 64 << 20
_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before it can fill memory or disk."""

    max_duration_s: float = 12 * 3600.0
    max_channels: int = 32
    max_source_bytes: int = 4 << 30
    """For streams that cannot seek: they are copied to a temporary file first."""


class Source:
    """Bytes with a beginning, an end and no name. Position 0 is where the caller's stream stood.

    ``read``, ``seek`` and ``tell`` are what PyAV calls. Close it only when it was opened here:
    ``close`` leaves a caller's own stream open.
    """

    def __init__(self, stream: IO[bytes], *, is_ours: bool) -> None:
        self._stream = stream
        self._is_ours = is_ours
        self._base = stream.tell()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if data is None:  # a non-blocking stream without data yet
            raise BlockingIOError("no data")
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:
            offset += self._base
        return self._stream.seek(offset, whence) - self._base

    def tell(self) -> int:
        return self._stream.tell() - self._base

    def peek(self, size: int, offset: int = 0) -> bytes:
        """``size`` bytes at ``offset``, fewer at the end; the position goes back to the start."""
        self.seek(offset)
        head = bytearray()
        while len(head) < size and (piece := self.read(size - len(head))):
            head += piece
        self.seek(0)
        return bytes(head)

    def close(self) -> None:
        if self._is_ours:
            self._stream.close()


def open_source(given: Any, limits: Limits) -> Source:
    """A path, bytes or a binary stream as a ``Source`` that holds at least one byte.

    Raises AudioNotFound, AudioPathUnreadable, AudioEmpty, AudioInvalid for any other type, and
    AudioTooLong for an endless stream.
    """
    if isinstance(given, (str, os.PathLike)):
        source = Source(open_path(os.fspath(given)), is_ours=True)
    elif isinstance(given, (bytes, bytearray, memoryview)):
        source = Source(io.BytesIO(given), is_ours=True)
    elif callable(getattr(given, "read", None)):
        source = _source_of_stream(given, limits)
    else:
        raise AudioInvalid(
            f"A {type(given).__name__} is no audio.",
            "Give a path, bytes, an open binary file or a numpy array.",
        )
    try:
        with _reading():
            is_empty = not source.peek(1)
        if is_empty:
            raise AudioEmpty("There are 0 bytes.")
    except BaseException:
        source.close()
        raise
    return source


def open_path(path: str | bytes) -> io.FileIO:
    """Only a regular file is ever opened: opening a pipe would wait, a device may act.

    Raises AudioNotFound, AudioPathUnreadable.
    """
    with _reading(path):
        _check_regular(os.stat(path).st_mode)
        # O_NONBLOCK: should the file have become a pipe since, opening it does not wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check_regular(os.fstat(descriptor).st_mode)
            return os.fdopen(descriptor, "rb", buffering=0)
        except BaseException:
            os.close(descriptor)
            raise


def _check_regular(mode: int) -> None:
    for is_kind, name in _KINDS:
        if is_kind(mode):
            raise AudioPathUnreadable(f"The path is a {name}; only a regular file can be read.")


_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


class _reading:
    """Turns what the operating system says about a path or stream into our errors."""

    def __init__(self, path: str | bytes | None = None) -> None:
        self._path = os.fsdecode(path) if path is not None else ""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, exc: BaseException | None, traceback: Any) -> None:
        if isinstance(exc, (FileNotFoundError, NotADirectoryError)):
            if _ADDRESS.match(self._path) and not Path(self._path).is_absolute():
                raise AudioNotFound(
                    "Nothing is at this path; addresses are not opened.",
                    "Download the recording first and give its path.",
                ) from exc
            raise AudioNotFound("Nothing is at this path.") from exc
        if isinstance(exc, PermissionError):
            raise AudioPathUnreadable("This user may not read the path.") from exc
        if isinstance(exc, OSError):
            reason = os.strerror(exc.errno) if exc.errno else "no reason given"
            raise AudioPathUnreadable(f"The system cannot read it: {reason}.") from exc
        if isinstance(exc, ValueError) and self._path:
            raise AudioNotFound("The path holds a character that no path can hold.") from exc


def _source_of_stream(stream: Any, limits: Limits) -> Source:
    with _reading():
        if isinstance(stream, io.TextIOBase) or not isinstance(stream.read(0), bytes):
            raise AudioInvalid("The stream gives text, not bytes.", "Open it in binary mode.")
        if _can_seek(stream):
            return Source(stream, is_ours=False)
        return Source(_spooled(stream, limits.max_source_bytes), is_ours=True)


def _can_seek(stream: Any) -> bool:
    try:
        stream.seek(stream.tell())
    except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is both of the last
        return False
    return True


def _spooled(stream: Any, max_bytes: int) -> IO[bytes]:
    """A copy that can seek; beyond 64 MiB it lies in a temporary file without a name."""
    copy: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_SPOOL_IN_MEMORY_BYTES)  # noqa: SIM115
    try:
        size = 0
        while piece := stream.read(_COPY_BYTES):
            size += len(piece)
            if size > max_bytes:
                raise AudioTooLong(
                    f"The stream is larger than the limit of {max_bytes} bytes.",
                    "Save it to a file and give its path.",
                )
            copy.write(piece)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy
