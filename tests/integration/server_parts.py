"""What the tests of the service share: one that runs in a thread, keys for it, raw requests."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from lingting.config import settings
from lingting.server.app import create_app
from lingting.server.guard import Patience
from lingting.server.protocol import BoundedProtocol
from lingting.server.service import Service

STARTED_WITHIN_S = 30.0


@dataclass(frozen=True)
class Running:
    """A service on a port of loopback."""

    url: str
    port: int
    service: Service
    folder: Path

    def key(self, *scopes: str, user: str = "admin") -> str:
        """A new key."""
        return self.service.access.new_key("test", user=user, scopes=scopes or ("admin",))[1]

    def client(self, *scopes: str, user: str = "admin") -> httpx.Client:
        """With a key of its own."""
        headers = {"Authorization": f"Bearer {self.key(*scopes, user=user)}"}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=60)

    def incoming(self) -> list[Path]:
        """Uploads that are under way, or were left."""
        folder = self.folder / "blobs" / "incoming"
        return list(folder.iterdir()) if folder.is_dir() else []

    def blobs(self) -> list[str]:
        return list(self.service.store.blobs.digests())


@contextmanager
def running(folder: Path, *, patience: Patience | None = None, **values: Any) -> Iterator[Running]:
    """The web application behind the server that ``lingting web`` uses."""
    app = create_app(settings(data_dir=folder, **values), patience=patience)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = uvicorn.Config(
        app, http=BoundedProtocol, ws="none", log_config=None, access_log=False,
        timeout_graceful_shutdown=2, timeout_keep_alive=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    service: Service = app.state.service
    try:
        until_s = time.monotonic() + STARTED_WITHIN_S
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until_s
            time.sleep(0.01)
        service.access.ensure_administrator()
        yield Running(f"http://127.0.0.1:{port}", port, service, folder)
    finally:
        service.broker.end()
        server.should_exit = True
        thread.join(30)
        listening.close()
        assert not thread.is_alive()


def raw(port: int, data: bytes, *, half_close: bool = False, wait_s: float = 10.0) -> bytes:
    """Send bytes as they are; everything that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := connection.recv(65_536):
                received += piece
        return received


def head(key: str, *lines: str, path: str = "/api/v1/recordings", method: str = "POST") -> bytes:
    """The head of a request."""
    listed = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", *lines]
    return ("\r\n".join(listed) + "\r\n\r\n").encode()


BOUNDARY = "b0undary"
FORM = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"


def file_part(name: str, content: bytes) -> bytes:
    """A file in a form, up to the next boundary."""
    top = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return top.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def chunked(data: bytes, size: int = 8_192) -> bytes:
    """A body without a length."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


def wait_until(is_so: Any, within_s: float = 10.0) -> None:
    """Fails when it does not become so."""
    until_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.02)
