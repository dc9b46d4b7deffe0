"""How much memory a process and what it started hold, as the kernel of this machine says."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def resident_bytes(pid: int, *, command: str | None = None) -> int | None:
    """Of the process and all below it; None when it is not here.

    With ``command`` only of a ``lingting`` process that was started with that word: a worker's
    number may belong to another machine.
    """
    if command is not None:
        words = _read(_PROC / str(pid) / "cmdline").split(b"\0")
        if not any(b"lingting" in word for word in words) or command.encode() not in words:
            return None
    pages = _pages(pid)
    if pages is None:
        return None
    children = _children()
    total, left = 0, [pid]
    while left:
        one = left.pop()
        total += _pages(one) or 0
        left += children.get(one, ())
    return total * os.sysconf("SC_PAGE_SIZE")


def _pages(pid: int) -> int | None:
    fields = _read(_PROC / str(pid) / "statm").split()
    return int(fields[1]) if len(fields) > 1 else None


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    try:
        names = [name for name in os.listdir(_PROC) if name.isdigit()]
    except OSError:
        return found
    for name in names:
        # The command stands in brackets and may hold any character, also a bracket.
        fields = _read(_PROC / name / "stat").rpartition(b")")[2].split()
        if len(fields) > 1:
            found.setdefault(int(fields[1]), []).append(int(name))
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
