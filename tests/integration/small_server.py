"""A small HTTP server with real sockets that answers transcription requests as it is told.

Each request is parsed (multipart and all), counted and recorded; ``answer`` decides what comes
back. A clip is known by its loudness: :func:`clip` makes one, :func:`number_of` reads it.
"""

from __future__ import annotations

import io
import json
import socket
import ssl
import threading
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import Clip, RecognizeOptions

STEP = 100


def clip(number: int, seconds: float = 0.5, **options: Any) -> Clip:
    """A clip whose samples say which one it is."""
    samples = np.full(int(seconds * 16_000), (number + 1) * STEP / 32_767, np.float32)
    return Clip(samples, RecognizeOptions(**options))


def number_of(samples: NDArray[np.int16]) -> int:
    return round(int(samples[len(samples) // 2]) / STEP) - 1


@dataclass(frozen=True)
class Asked:
    """One transcription request as it came over the wire."""

    fields: Mapping[str, list[str]]
    samples: NDArray[np.int16]
    rate_hz: int
    headers: Mapping[str, str]
    attempt: int
    """How often this clip has been asked for, this time included."""

    @property
    def number(self) -> int:
        return number_of(self.samples)


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: Any = field(default_factory=lambda: {"text": "hello"})
    headers: Mapping[str, str] = field(default_factory=dict)


class Drop(Exception):
    """Close the connection without an answer."""


Answer = Callable[[Asked], Reply]


class SmallServer:
    def __init__(self, answer: Answer, models: Reply) -> None:
        self.answer = answer
        self.models = models
        self.asked: list[Asked] = []
        self.paths: list[str] = []
        self.ports: set[int] = set()
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    @contextmanager
    def working(self) -> Iterator[None]:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    def record(self, form: Message, headers: Mapping[str, str]) -> Asked:
        fields: dict[str, list[str]] = {}
        audio = b""
        for part in form.get_payload():  # type: ignore[union-attr]
            name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
            content = part.get_payload(decode=True)  # type: ignore[union-attr]
            if part.get_filename():  # type: ignore[union-attr]
                audio = content
            else:
                fields.setdefault(name, []).append(content.decode("utf-8"))
        with wave.open(io.BytesIO(audio)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            rate_hz = file.getframerate()
        with self._lock:
            before = sum(one.number == number_of(samples) for one in self.asked)
            asked = Asked(fields, samples, rate_hz, headers, before + 1)
            self.asked.append(asked)
        return asked


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ours: SmallServer

    def do_GET(self) -> None:
        self.ours.paths.append(self.path)
        if self.path == "/v1/models":
            self._reply(self.ours.models)
        else:
            self._reply(Reply(404, {"error": {"code": "model_not_found"}}))

    def do_POST(self) -> None:
        self.ours.paths.append(self.path)
        self.ours.ports.add(self.client_address[1])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP).parsebytes(kind + body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.ours.working():
            try:
                reply = self.ours.answer(self.ours.record(form, headers))
            except Drop:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
        self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


def models_of(*names: str) -> Reply:
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "us"} for name in names]
    return Reply(body={"object": "list", "data": data})


class _UnixServer(_Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)

    def get_request(self) -> tuple[socket.socket, Any]:
        return self.socket.accept()[0], ("unix", 0)


@contextmanager
def serving(
    answer: Answer,
    models: Reply | None = None,
    *,
    path: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[tuple[str, SmallServer]]:
    """Address and server, until the block ends. ``path`` makes it a Unix socket's."""
    ours = SmallServer(answer, models or models_of("tiny"))
    handler = type("Handler", (_Handler,), {"ours": ours})
    made = _UnixServer(path, handler) if path else _Server(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    with made as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        scheme = "https" if tls else "http"
        port = server.server_address[1] if path is None else 0
        try:
            yield f"unix:{path}" if path else f"{scheme}://127.0.0.1:{port}", ours
        finally:
            server.shutdown()
            thread.join()
