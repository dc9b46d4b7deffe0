"""A recording as a form: its fields, its bytes and their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from lingting.audio.source import open_path
from lingting.client.connection import written

OnSent = Callable[[int], None]
"""Hears how many bytes of a file have been sent."""

_READ_BYTES = 1 << 20


def form_of(
    name: str,
    options: Mapping[str, Any],
    *,
    batch_id: str | None,
    priority: str,
    sha256: str | None,
) -> dict[str, str]:
    """The fields beside the file; those without a value are left out."""
    form = {
        "name": written(name), "batch": batch_id, "priority": priority, "sha256": sha256,
        **_fields(options),
    }  # fmt: skip
    return {name: one for name, one in form.items() if one is not None}


def _fields(options: Mapping[str, Any]) -> dict[str, str | None]:
    """Options as fields of a form."""
    made: dict[str, str | None] = {}
    for name, value in options.items():
        if name == "hotwords":
            made[name] = "\n".join(map(written, value)) or None
        elif isinstance(value, bool):
            made[name] = "true" if value else "false"
        elif value is not None:
            made[name] = written(str(value))
    return made


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits. Raises AudioNotFound and its like."""
    with open_path(str(path)) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Counted:
    """A file that tells how much of it was read."""

    def __init__(self, stream: IO[bytes], on_sent: OnSent | None) -> None:
        self._stream = stream
        self._on_sent = on_sent
        self._sent = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(min(size, _READ_BYTES) if size > 0 else size)
        self._sent += len(piece)
        if self._on_sent is not None:
            self._on_sent(self._sent)
        return piece

    def fileno(self) -> int:
        return self._stream.fileno()

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)
