"""Recordings by address: asked as ``outbound`` allows, never held in memory."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from lingting import __version__
from lingting.errors import AddressFailed, AddressRefused, AudioEmpty, BodyTooLarge
from lingting.outbound import REDIRECTS, Answer, Rules, asked, parse_networks, parse_target

if TYPE_CHECKING:
    from lingting.config import Settings

_OK = 200
_HEADERS = {
    "Accept": "audio/*, video/*, application/octet-stream, */*;q=0.1",
    "Accept-Encoding": "identity",
    "User-Agent": f"Lingting/{__version__}",
    "Connection": "close",
}
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f]")


def rules_of(settings: Settings) -> Rules:
    """Raises AddressRefused where no host is allowed, OptionInvalid."""
    if not settings.url_hosts:
        raise AddressRefused(
            "Recordings are not fetched by address here.",
            "Send the file itself, or let the operator set LINGTING_URL_HOSTS.",
        )
    return Rules(settings.url_hosts, parse_networks(settings.outbound_networks), True)


def check(url: str, settings: Settings) -> None:
    """What can be said before anything is asked. Raises AddressRefused."""
    parse_target(url, rules_of(settings))


@contextmanager
def fetched(url: str, settings: Settings) -> Iterator[IO[bytes]]:
    """What is at the address, as a stream of at most ``max_upload_bytes``.

    Raises AddressRefused, AddressFailed, BodyTooLarge and AudioEmpty, also while it is read.
    """
    with asked(
        "GET", url, rules_of(settings), headers=_HEADERS, timeout_s=settings.url_timeout_s,
        redirects=REDIRECTS,
    ) as answer:  # fmt: skip
        if answer.status != _OK:
            raise AddressFailed(f"The address answers with the status {answer.status}.")
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise AddressFailed("The address answers in an encoding that was not asked for.")
        limit = settings.max_upload_bytes
        if (answer.length_bytes or 0) > limit:
            raise _too_large(limit)
        if answer.length_bytes == 0:
            raise AudioEmpty("Nothing is at the address.")
        yield cast("IO[bytes]", _Bounded(answer, limit))


def name_of(url: str) -> str:
    """The last part of an address's path; a name to show, never a path."""
    last = unquote(urlsplit(url).path.rpartition("/")[2], errors="replace")
    return _UNSHOWN.sub("", last) or "recording"


class _Bounded(io.RawIOBase):
    """The body of an answer, to its end or the limit."""

    def __init__(self, answer: Answer, max_bytes: int) -> None:
        self._answer = answer
        self._max_bytes = max_bytes
        self._read_bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._answer.read(size if size > 0 else 1 << 20)
        self._read_bytes += len(piece)
        if self._read_bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        if not piece and not self._read_bytes:
            raise AudioEmpty("Nothing is at the address.")
        return piece


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The file is larger than the limit of {limit} bytes.")
