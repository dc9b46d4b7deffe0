"""Who a worker is: the first free of this folder's places, kept by a lock as long as it lives.

Started again after whatever end, it is the same worker, and goes on with what it had. The names are
random, because two machines that share a database have folders of their own.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from filelock import FileLock, Timeout

from lingting.errors import BusyError, StoreUnreachable

_MOST = 64


class Slot:
    """A place that is taken until the process ends, or ``leave``."""

    def __init__(self, folder: Path, number: int, lock: FileLock) -> None:
        self.number = number
        self._lock = lock
        self.id = _name(folder / f"worker-{number}.id")

    def leave(self) -> None:
        self._lock.release()


def take_slot(folder: Path) -> Slot:
    """Raises StoreUnreachable for a folder that cannot be written, BusyError when all are taken."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(1, _MOST + 1):
            lock = FileLock(folder / f"worker-{number}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            return Slot(folder, number, lock)
    except OSError as exc:
        raise StoreUnreachable(f"The service's folder cannot be used: {exc.strerror}.") from exc
    raise BusyError(f"{_MOST} workers run here already.", "Stop one of them.")


def _name(file: Path) -> str:
    known = file.read_text(encoding="ascii").strip() if file.is_file() else ""
    if known:
        return known
    made = f"w-{secrets.token_hex(8)}"
    part = file.with_suffix(".part")
    part.write_text(made, encoding="ascii")
    part.replace(file)
    return made
