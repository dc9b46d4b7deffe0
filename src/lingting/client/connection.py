"""Requests to one service, with its address and key; what it refuses is raised as it is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx

from lingting.errors import (
    BusyError,
    FaultError,
    LimitReached,
    LingtingError,
    OptionInvalid,
    RequestError,
    ServiceUnreachable,
    TooManyRequests,
    TooManyTries,
    by_code,
)

if TYPE_CHECKING:
    from lingting.config import Settings

T = TypeVar("T")

API = "/api/v1"
UNREACHABLE_S = 60.0
AGAIN_S = 1.0
_BUSY_TRIES = 8
_COPY_BYTES = 1 << 20


class Connection:
    """One service. Not for several threads at once; use it in a ``with`` block."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """``url`` and ``key`` are by default LINGTING_SERVER and LINGTING_SERVER_KEY.

        Without a key, a service on this machine is asked with the key it leaves for its own user.
        Raises OptionInvalid for an address that is none.
        """
        self.url = _checked(url)
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {found}"} if (found := _key(self.url, key)) else {},
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            trust_env=not _is_here(self.url),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calling it twice is fine."""
        self._http.close()

    def ask(self, method: str, *parts: str, **arguments: Any) -> Any:
        """The first part is a path below the API, the others are names in it."""
        path = "/".join((parts[0], *map(name_part, parts[1:])))
        return self._json(method, path, **arguments)

    def do(self, method: str, *parts: str) -> None:
        """The same for an answer without a body."""
        self._send(method, "/".join((parts[0], *map(name_part, parts[1:]))))

    def copy(self, method: str, file: IO[bytes], *parts: str) -> None:
        """The same for an answer that is a file."""
        self._copy(method, "/".join((parts[0], *map(name_part, parts[1:]))), file)

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            return self._send(method, path, **arguments).json()
        except ValueError as exc:
            raise ServiceUnreachable("What answered is no service of ours.") from exc

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        with mapped():
            answer = self._http.request(method, f"{API}{path}", **arguments)
        check(answer)
        return answer

    def _copy(self, method: str, path: str, file: IO[bytes], **arguments: Any) -> None:
        """The body of an answer, piece by piece."""
        with mapped(), self._http.stream(method, f"{API}{path}", **arguments) as answer:
            check(answer)
            for piece in answer.iter_bytes(_COPY_BYTES):
                file.write(piece)


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are something."""
    return {name: one for name, one in values.items() if one is not None}


def when_free(work: Callable[[], T], *, tries: int = _BUSY_TRIES) -> T:
    """Do it again while the service says that it is busy, as long as it asks each time."""
    for _ in range(tries - 1):
        try:
            return work()
        except (BusyError, TooManyRequests) as error:
            time.sleep(min(error.retry_after_s, 30.0))
    return work()


def when_there(work: Callable[[], T], *, patience_s: float = UNREACHABLE_S) -> T:
    """As ``when_free``; a service that is away for less than ``patience_s`` is waited for too."""
    until_s = time.monotonic() + patience_s
    while True:
        try:
            return when_free(work)
        except ServiceUnreachable:
            if time.monotonic() >= until_s:
                raise
            time.sleep(AGAIN_S)


@contextmanager
def mapped() -> Iterator[None]:
    """The library's errors as ours; the address stays out of the sentence."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise ServiceUnreachable("The service did not answer in time.") from exc
    except (httpx.TransportError, httpx.InvalidURL) as exc:
        raise ServiceUnreachable("The service cannot be reached.") from exc


def check(answer: httpx.Response) -> None:
    """Raises what the service raised."""
    if answer.is_success:
        return
    with mapped():
        answer.read()
    try:
        told = answer.json()["error"]
        code, message, next_step = told["code"], told["message"], told["next_step"]
    except (ValueError, KeyError, TypeError):
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise BusyError("The service is busy.") from None
        raise ServiceUnreachable(
            f"What answered is no service of ours (status {answer.status_code})."
        ) from None
    raise _error(code, message, next_step, answer)


def error_of(code: str, message: str) -> LingtingError:
    """The error with this code; a service can know others."""
    return (by_code(code) or RequestError)(message)


def _error(code: str, message: str, next_step: str, answer: httpx.Response) -> LingtingError:
    found = by_code(code) or (RequestError if answer.status_code < 500 else FaultError)
    retry_after = answer.headers.get("retry-after", "")
    if retry_after.isdecimal() and issubclass(found, (BusyError, LimitReached, TooManyTries)):
        return found(message, next_step, retry_after_s=float(retry_after))
    return found(message, next_step)


def _checked(url: str | None) -> str:
    from lingting.config import settings

    given = (url or _server(settings())).rstrip("/").removesuffix(API)
    wrong = OptionInvalid("The service's address is none.", "Write it as http://host:7860.")
    try:
        httpx.URL(given)
        parts = urlsplit(given)
    except (httpx.InvalidURL, ValueError) as exc:
        raise wrong from exc
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise wrong
    if parts.username is not None or parts.password is not None:
        raise OptionInvalid(
            "The service's address holds a name or password.", "Give a key instead."
        )
    return given


def _server(now: Settings) -> str:
    """As it is set; else wherever the service of this data folder listens."""
    if "server" not in now.model_fields_set:
        from lingting.server.place import read_state

        found = (read_state(now) or {}).get("url")
        if isinstance(found, str):
            return found
    return now.server


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _key(url: str, given: str | None) -> str | None:
    from lingting.config import settings

    now = settings()
    if given is None and now.server_key is not None:
        given = now.server_key.get_secret_value()
    if given is None and _is_here(url):
        from lingting.server.place import local_key

        given = local_key(now)
    if given is not None and not given.isascii():
        raise OptionInvalid("The key is none of ours.", "Check LINGTING_SERVER_KEY.")
    return given


def written(given: str) -> str:
    """Bytes of a file's name that are no text are written out."""
    return given.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def id_part(given: str) -> str:
    """For an address; what is no id leads to nothing there."""
    return given if given.isascii() and given.isalnum() else "-"


def name_part(name: str) -> str:
    """A name as one part of an address; dots too, which would lead elsewhere."""
    return quote(written(name), safe="").replace(".", "%2E")
