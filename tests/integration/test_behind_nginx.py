"""The service behind the nginx of ``deploy/``: TLS, large uploads, events and WebSockets."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from server_parts import Running, running, wait_until

from tests.test_deploy import nginx_conf, nginx_program

NAME = "speech.example.org"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@dataclass(frozen=True)
class Front:
    folder: Path
    port: int
    http_port: int

    def client(self, key: str | None = None) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.folder / "fullchain.pem"))
        headers = {"Host": NAME, **({} if key is None else {"Authorization": f"Bearer {key}"})}
        made = httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}", verify=context, headers=headers, timeout=30
        )
        made.event_hooks = {"request": [_with_name]}
        return made


def _with_name(request: httpx.Request) -> None:
    request.extensions["sni_hostname"] = NAME


@contextlib.contextmanager
def fronted(folder: Path, upstream: int) -> Iterator[Front]:
    """Nginx before a port of this machine."""
    program = nginx_program()
    front = Front(folder, free_port(), free_port())
    conf = nginx_conf(folder, upstream, front.port, front.http_port)
    process = subprocess.Popen([program, "-c", str(conf)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(front.port))
        yield front
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data"), behind_proxy=True) as one:
        yield one


@pytest.fixture(scope="module")
def front(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with fronted(tmp_path_factory.mktemp("nginx"), server.port) as one:
        yield one


def test_tls_and_only_tls(front: Front) -> None:
    with front.client() as client:
        answer = client.get("/healthz")
    assert answer.status_code == 200
    assert "strict-transport-security" in answer.headers
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    there = httpx.get(f"http://127.0.0.1:{front.http_port}/x?y=1", headers={"Host": NAME})
    assert (there.status_code, there.headers["location"]) == (308, f"https://{NAME}/x?y=1")


def test_the_figures_stay_inside(front: Front) -> None:
    with front.client() as client:
        assert client.get("/metrics").status_code == 404


def test_a_request_id_goes_through_and_into_the_log_of_nginx(front: Front) -> None:
    with front.client() as client:
        sent = client.get("/healthz?token=nobody-sees", headers={"X-Request-Id": "through-nginx-1"})
        odd = client.get("/healthz", headers={"X-Request-Id": 'a "quoted" one'})
    assert sent.headers["x-request-id"] == "through-nginx-1"
    made = odd.headers["x-request-id"]
    log = front.folder / "lingting.log"
    wait_until(lambda: log.read_text().count("\n") >= 2)
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"through-nginx-1", made} <= {line["request"] for line in told}
    assert "nobody-sees" not in log.read_text()


def test_an_upload_is_written_while_it_comes(front: Front, server: Running) -> None:
    seen: list[int] = []

    def body() -> Iterator[bytes]:
        yield (b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n')
        for _ in range(24):
            yield bytes(1 << 20)
        wait_until(lambda: sum(path.stat().st_size for path in server.incoming()) > 8 << 20)
        seen.append(len(server.incoming()))
        yield b"\r\n--cut--\r\n"

    with front.client(server.key()) as client:
        answer = client.post(
            "/api/v1/recordings", content=body(),
            headers={"Content-Type": "multipart/form-data; boundary=cut"},
        )  # fmt: skip
    assert answer.status_code == 202, answer.text
    assert seen == [1]


def test_events_come_when_they_happen(front: Front, server: Running) -> None:
    with front.client(server.key()) as client, client.stream("GET", "/api/v1/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        with server.client() as direct:
            direct.post("/recordings", files={"file": ("b.wav", b"RIFF" * 50)})
        began_s = time.monotonic()
        for line in stream.iter_lines():
            if line.startswith("event:"):
                break
    assert time.monotonic() - began_s < 10


def test_a_websocket_is_upgraded_and_goes_both_ways(tmp_path: Path) -> None:
    heads: list[bytes] = []

    def upstream(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            heads.append(connection.recv(65_536))
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: upgrade\r\n\r\n"
            )
            connection.sendall(b"heard " + connection.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=upstream, args=(listening,), daemon=True)
        thread.start()
        with fronted(tmp_path, listening.getsockname()[1]) as front:
            context = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))
            plain = socket.create_connection(("127.0.0.1", front.port), timeout=10)
            with context.wrap_socket(plain, server_hostname=NAME) as talk:
                talk.sendall(
                    f"GET /api/v1/live HTTP/1.1\r\nHost: {NAME}\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
                )
                head = talk.recv(65_536)
                assert head.startswith(b"HTTP/1.1 101")
                talk.sendall(b"a word")
                received = head.partition(b"\r\n\r\n")[2]
                while len(received) < len(b"heard a word"):
                    received += talk.recv(100)
        thread.join(10)
    assert received == b"heard a word"
    assert b"Connection: upgrade\r\n" in heads[0]
    assert b"Upgrade: websocket\r\n" in heads[0]
