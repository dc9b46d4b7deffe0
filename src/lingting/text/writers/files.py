"""Writing a result so that a reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lingting.durable import flush_folder
from lingting.errors import OutputUnwritable


def save(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` at once, see ``saving``."""
    with saving(path) as file:
        file.write(data)


@contextlib.contextmanager
def saving(path: Path) -> Iterator[IO[bytes]]:
    """A file that has the name ``path`` when all is written.

    A temporary file in the same folder is written, flushed to the disk and renamed. Whatever
    interrupts this leaves the folder as it was. An existing file keeps its permissions, a link is
    followed. Raises :class:`OutputUnwritable`.
    """
    try:
        target = Path(os.path.realpath(path))
        mode = _mode(target)
        part = target.with_name(f".lingting-{secrets.token_hex(8)}.part")
        try:
            # 0o666 minus the umask, as for any file a program makes.
            handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                part.chmod(mode)
            os.replace(part, target)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        flush_folder(target.parent)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "bad path"
        raise OutputUnwritable(f"The result cannot be written: {reason}.") from exc


def _mode(target: Path) -> int | None:
    """Permissions of the file that is there, None without one."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OutputUnwritable("The result cannot be written: its place is no regular file.")
    return stat.S_IMODE(found.st_mode)
