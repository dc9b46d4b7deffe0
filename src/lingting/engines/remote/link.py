"""HTTP to an engine host of ours, over kept connections: a tenth of the usual client's cost.

A host is near: over a Unix socket or on the local network, and never behind a proxy of this
machine's environment. Recognising a clip changes nothing there, so a request that broke off may be
sent again, here or to another host.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from lingting.engines.remote.address import Address
from lingting.errors import EngineFailed, EngineUnreachable, OptionInvalid

_KEEP_S = 60.0  # our hosts close idle connections after 75 s
_MOST_IDLE = 256
_MOST_ANSWER_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers with names in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _UnixConnection(http.client.HTTPConnection):
    """To a socket file. ``timeout`` is for connecting and for every single wait."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except BaseException:
            self.sock.close()
            raise


class Link:
    """Safe to use from many threads; each request has a connection to itself."""

    def __init__(
        self, address: Address, key: str | None, *, connect_s: float, silence_s: float
    ) -> None:
        """``silence_s`` is how long a host may say nothing: ours give signs of life."""
        self._address = address
        self._connect_s = connect_s
        self._silence_s = silence_s
        self._headers = {"Host": "localhost"} if address.socket else {}
        if key:
            if not key.isascii() or not key.isprintable():
                raise OptionInvalid("The server's key holds characters that no key has.")
            self._headers["Authorization"] = f"Bearer {key.strip()}"
        parts = urlsplit(address.base)
        self._host, self._port, self._prefix = parts.hostname or "", parts.port, parts.path
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def shown(self) -> str:
        """Host and port, or the word unix."""
        return self._address.shown

    def close(self) -> None:
        """Requests that are under way end by themselves."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Whatever the host answers. Raises EngineUnreachable when it does not, or breaks off."""
        sent = {**self._headers, **(headers or {})}
        connection, is_fresh = self._take()
        try:
            reply = self._asked(connection, method, path, body, sent)
        except ConnectionError as exc:
            connection.close()
            if is_fresh:
                raise self._broken(exc) from exc
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise self._broken(exc) from exc
        else:
            return reply
        # A kept connection had been closed meanwhile, and the others probably too.
        self._forget()
        connection = self._connected()
        try:
            return self._asked(connection, method, path, body, sent)
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise self._broken(exc) from exc

    def _asked(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Reply:
        connection.request(method, self._prefix + path, body or None, headers)
        response = connection.getresponse()
        data = response.read(_MOST_ANSWER_BYTES + 1)
        if len(data) > _MOST_ANSWER_BYTES:
            connection.close()
            raise EngineFailed("The engine host's answer is too long.")
        found = {name.lower(): value for name, value in response.getheaders()}
        if not response.isclosed():  # read to its end without closing: another piece is there
            response.read()
        if response.will_close:
            connection.close()
        else:
            self._keep(connection)
        return Reply(response.status, found, data)

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it is a fresh one; the last used first."""
        oldest_s = time.monotonic() - _KEEP_S
        with self._lock:
            if self._is_closed:
                raise EngineFailed("The engine was closed.", "Make a new one.")
            while self._idle:
                connection, used_s = self._idle.pop()
                if used_s > oldest_s:
                    return connection, False
                connection.close()
        return self._connected(), True

    def _connected(self) -> http.client.HTTPConnection:
        made: http.client.HTTPConnection
        if self._address.socket is not None:
            made = _UnixConnection(self._address.socket, self._connect_s)
        elif self._tls is not None:
            made = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._connect_s, context=self._tls
            )
        else:
            made = http.client.HTTPConnection(self._host, self._port, timeout=self._connect_s)
        try:
            made.connect()
        except OSError as exc:
            made.close()
            raise EngineUnreachable(
                f"The engine host at {self.shown} cannot be connected to."
            ) from exc
        made.sock.settimeout(self._silence_s)
        return made

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._is_closed and len(self._idle) < _MOST_IDLE:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()

    def _forget(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _broken(self, exc: BaseException) -> EngineUnreachable:
        if isinstance(exc, TimeoutError):
            return EngineUnreachable(
                f"The engine host at {self.shown} was silent for {self._silence_s:g} s."
            )
        return EngineUnreachable(
            f"The connection to the engine host at {self.shown} broke before an answer came."
        )
