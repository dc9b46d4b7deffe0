"""Files that leave: names, kinds and parts of them."""

from __future__ import annotations

import mimetypes
import re
from functools import partial
from typing import IO, Any
from urllib.parse import quote

from starlette.responses import StreamingResponse

from lingting.errors import RangeInvalid
from lingting.text.writers.names import file_name

_PIECE_BYTES = 256 << 10
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def parse_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """``[start, end)`` of the one part that is asked for (RFC 9110, 14.2); None for all of it.

    Several parts at once, and other units, are answered with the whole. Raises RangeInvalid.
    """
    matched = _RANGE.fullmatch(header.strip().replace(" ", "")) if header else None
    if matched is None or (not matched[1] and not matched[2]):
        return None
    if not matched[1]:  # the last bytes
        wanted = min(int(matched[2]), size_bytes)
        start, end = size_bytes - wanted, size_bytes
    else:
        start = int(matched[1])
        end = min(int(matched[2]) + 1, size_bytes) if matched[2] else size_bytes
        if matched[2] and int(matched[2]) < start:
            return None
    if start >= end:
        raise RangeInvalid(f"The file has {size_bytes} bytes; the part lies outside.")
    return start, end


def media_type(name: str) -> str:
    """By the name's suffix; nothing that a browser would run is ever answered."""
    guessed, encoding = mimetypes.guess_type("x" + file_name(name)[1], strict=False)
    if guessed is None or encoding is not None or not guessed.startswith(("audio/", "video/")):
        return "application/octet-stream"
    return guessed


class FileStream(StreamingResponse):
    """What is left in a stream, which is closed however this ends."""

    def __init__(self, stream: IO[bytes], status: int, headers: dict[str, str], kind: str) -> None:
        super().__init__(iter(partial(stream.read, _PIECE_BYTES), b""), status, headers, kind)
        self._stream = stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()


def disposition(name: str, *, suffix: str | None = None, is_shown: bool = False) -> str:
    """``Content-Disposition`` with a name fit for any folder, in ASCII and in full (RFC 6266)."""
    stem, own = file_name(name)
    whole = stem + (own if suffix is None else suffix)
    plain = "".join(char if char.isascii() and char not in '"\\%' else "_" for char in whole)
    kind = "inline" if is_shown else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(whole, safe='')}"
