"""One server over pooled connections; a request is repeated only when nothing was done with it.

::

    could not connect ─────────────► again, with back-off ─► EngineUnreachable
    429, 503 ─ wait as it asks ────► again ────────────────► EngineBusy
    400, 422 naming a field ───────► FieldRefused, for the caller to leave it out
    401, 403, 404, 405, redirects ─► EngineRefused           413 ─► AudioTooLong
    sent, and no answer came, or 5xx ► EngineFailed, never repeated: the work may have been done

Every request has an ``Idempotency-Key`` that stays the same over its attempts, for servers that
look. The key of the owner is in a header and nowhere else; redirects are not followed, because
they would carry the audio to a place that nobody configured.
"""

from __future__ import annotations

import random
import re
import ssl
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from lingting import log, tracing
from lingting.engines.remote.address import Address
from lingting.engines.remote.options import RemoteOptions
from lingting.errors import (
    AudioTooLong,
    EngineBusy,
    EngineFailed,
    EngineRefused,
    EngineUnreachable,
    LingtingError,
    OptionInvalid,
)

_MOST_ANSWER_BYTES = 16_000_000
_LONGEST_BACKOFF_S = 8.0
_KEEP_S = 4.0  # servers close idle connections after 5 s and more
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_CODE = re.compile(r"[a-z][a-z0-9_]{2,40}")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of a response; the body may hold a transcript and is never shown."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class FieldRefused(Exception):
    """400 or 422: something in the form; ``body`` says what."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body


class Client:
    """Safe to use from many threads."""

    def __init__(self, address: Address, key: str | None, options: RemoteOptions) -> None:
        """Raises OptionInvalid for a key that cannot be sent."""
        self._address = address
        self._options = options
        self._closed = threading.Event()
        headers = {"User-Agent": "lingting", "Accept": "application/json"}
        if key:
            if not key.isascii() or not key.isprintable():
                raise OptionInvalid("The server's key holds characters that no key has.")
            headers["Authorization"] = f"Bearer {key.strip()}"
        self._http = httpx.Client(
            base_url=address.base,
            headers=headers,
            timeout=httpx.Timeout(options.timeout_s, connect=options.connect_timeout_s, pool=None),
            limits=httpx.Limits(
                max_connections=options.concurrency,
                max_keepalive_connections=options.concurrency,
                keepalive_expiry=_KEEP_S,
            ),
            verify=_trust(address),
            transport=httpx.HTTPTransport(uds=address.socket) if address.socket else None,
            trust_env=not address.is_here,  # no proxy on the way to this machine
            follow_redirects=False,
        )

    def close(self) -> None:
        """Also wakes and ends those who wait for another attempt."""
        self._closed.set()
        self._http.close()

    def get(self, path: str) -> Answer:
        """200, or 404 and 405 for a page that the server does not have."""
        answer = self._asked("GET", path, {})
        if answer.status in (404, 405):
            return answer
        return self._accepted(answer)

    def post(self, path: str, fields: Mapping[str, Any], file: tuple[str, bytes, str]) -> Answer:
        """A form with one file. Raises FieldRefused, AudioTooLong or an engine's error."""
        return self._accepted(self._asked("POST", path, {"data": fields, "files": {"file": file}}))

    def _asked(self, method: str, path: str, content: Mapping[str, Any]) -> Answer:
        """The first answer that is not "later"; waits in between."""
        headers = {**log.request_headers(), **tracing.headers()}
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        error: LingtingError = EngineFailed("The engine was closed.", "Make a new one.")
        for attempt in range(self._options.attempts):
            if self._closed.is_set():
                break
            asked_s: float | None = None
            try:
                answer = self._sent(method, path, headers, content)
            except _NOT_SENT as exc:
                self._check_certificate(exc)
                error = EngineUnreachable(
                    f"The server at {self._address.shown} cannot be connected to."
                )
                error.__cause__ = exc
            else:
                if answer.status not in (429, 503):
                    return answer
                asked_s = _retry_after_s(answer.headers)
                error = EngineBusy(
                    f"The server at {self._address.shown} is busy ({answer.status}).",
                    retry_after_s=asked_s or self._options.most_wait_s,
                )
            if asked_s is not None and asked_s > self._options.most_wait_s:
                break
            if attempt + 1 < self._options.attempts:
                self._closed.wait(self._wait_s(attempt, asked_s))
        raise error

    def _check_certificate(self, exc: BaseException) -> None:
        """A certificate that cannot be verified will not get better by asking again."""
        cause: BaseException | None = exc
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise EngineRefused(
                    f"The certificate of {self._address.shown} cannot be verified.",
                    "Set SSL_CERT_FILE to the certificate of the authority that signed it.",
                ) from exc
            cause = cause.__cause__ or cause.__context__

    def _wait_s(self, attempt: int, asked_s: float | None) -> float:
        """What the server asks for, else twice as long each time; spread, so that many differ."""
        spread = 1.0 + 0.25 * random.random()  # noqa: S311 - not for secrets
        if asked_s is not None:
            return asked_s * spread
        backoff_s = min(self._options.first_wait_s * 2.0**attempt, _LONGEST_BACKOFF_S)
        return min(backoff_s * spread, self._options.most_wait_s)

    def _sent(
        self, method: str, path: str, headers: Mapping[str, str], content: Mapping[str, Any]
    ) -> Answer:
        """Raises one of ``_NOT_SENT``, or EngineFailed when the request may have arrived."""
        try:
            with self._http.stream(method, path, headers=headers, **content) as response:
                body = bytearray()
                for part in response.iter_bytes():
                    body += part
                    if len(body) > _MOST_ANSWER_BYTES:
                        raise EngineFailed("The server's answer is no transcription: too long.")
                return Answer(response.status_code, response.headers, bytes(body))
        except _NOT_SENT:
            raise
        except httpx.TimeoutException as exc:
            raise EngineFailed(
                f"The server did not answer within {self._options.timeout_s:g} s.",
                "Ask it less at a time, or let it take longer.",
            ) from exc
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, RuntimeError) as exc:
            raise EngineFailed(
                f"The connection to {self._address.shown} broke before an answer came.",
                "Try again; the request was not repeated, because it may have been worked on.",
            ) from exc

    def _accepted(self, answer: Answer) -> Answer:
        status, place = answer.status, self._address.shown
        if status == 200:
            return answer
        code = _code(answer.body)
        said = f"{status} {code}" if code else str(status)
        if status in (401, 403):
            raise EngineRefused(
                f"The server at {place} does not take the key ({said}).",
                "Set LINGTING_REMOTE_KEY to a key it knows.",
            )
        if status in (400, 422):
            raise FieldRefused(status, answer.body)
        if status == 413:
            raise AudioTooLong(f"The server at {place} takes no clip of this size ({said}).")
        if status < 500:
            raise EngineRefused(f"The server at {place} does not take the request ({said}).")
        raise EngineFailed(
            f"The server at {place} failed on a clip ({said}).", "Look into the server's log."
        )


def _trust(address: Address) -> ssl.SSLContext:
    """Who may vouch for the server: SSL_CERT_FILE's authorities, or the usual ones."""
    if address.base.startswith("https:"):
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nobody: no TLS is spoken here


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """``retry-after-ms``, or ``retry-after`` in seconds or as a date; None without one."""
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        given = headers.get(name)
        if given is None:
            continue
        if re.fullmatch(r"\s*\d{1,9}(\.\d{1,9})?\s*", given):
            return float(given) * unit_s
        try:
            until = parsedate_to_datetime(given)
        except ValueError:
            continue
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    return None


def _code(body: bytes) -> str | None:
    """``error.code`` of an answer when it is a plain word; its sentence may quote the request."""
    found = re.search(rb'"(?:code|type)"\s*:\s*"([^"]{1,50})"', body[:10_000])
    word = found[1].decode("ascii", "replace") if found else ""
    return word if _CODE.fullmatch(word) else None
