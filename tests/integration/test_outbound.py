"""Asking addresses over real sockets: redirects, names that change, servers that never end."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_parts import Running, running, wait_until

from lingting.client import Client
from lingting.errors import AddressFailed, AddressRefused
from lingting.outbound import Rules, asked, parse_networks

HERE = parse_networks(["127.0.0.0/8"])
RULES = Rules(networks=HERE)
Answer = Callable[[socket.socket, str], None]


class Raw:
    """A server that sends bytes as it is told; ``paths`` is what it was asked for."""

    def __init__(self, answer: Answer, host: str = "127.0.0.1", port: int = 0) -> None:
        self.listening = socket.create_server((host, port))
        self.port = self.listening.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        self.paths: list[str] = []
        self.heads: list[str] = []
        self._answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            top = b""
            while b"\r\n\r\n" not in top:
                piece = connection.recv(4096)
                if not piece:
                    return
                top += piece
            self.heads.append(top.decode())
            self.paths.append(top.split(b" ")[1].decode())
            self._answer(connection, self.paths[-1])

    def close(self) -> None:
        self.listening.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Raw]]:
    made: list[Raw] = []

    def start(answer: Answer, **values: Any) -> Raw:
        made.append(Raw(answer, **values))
        return made[-1]

    yield start
    for one in made:
        one.close()


def ok(body: bytes = b"sound", *lines: str) -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *lines])
    return f"{head}\r\n\r\n".encode() + body


def moved(where: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()


def always(data: bytes) -> Answer:
    return lambda connection, path: connection.sendall(data)


def get(url: str, rules: Rules = RULES, *, timeout_s: float = 5.0, redirects: int = 5) -> bytes:
    found = b""
    with asked("GET", url, rules, headers={}, timeout_s=timeout_s, redirects=redirects) as answer:
        while piece := answer.read(65_536):
            found += piece
    return found


def test_a_name_that_changes_is_looked_up_once(
    serve: Callable[..., Raw], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the connection goes to the address that was checked."""
    checked = serve(always(ok(b"checked")), host="127.0.0.2")
    other = serve(always(ok(b"other")), host="127.0.0.3", port=checked.port)
    looks: list[str] = []

    def rebinding(host: str, port: int, **_: Any) -> Any:
        looks.append(host)
        address = "127.0.0.2" if len(looks) == 1 else "127.0.0.3"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    real = socket.getaddrinfo

    def look(host: str, port: int, *args: Any, **values: Any) -> Any:
        if host == "files.example.org":
            return rebinding(host, port)
        return real(host, port, *args, **values)

    monkeypatch.setattr(socket, "getaddrinfo", look)
    rules = Rules(networks=parse_networks(["127.0.0.2/32"]))
    assert get(f"http://files.example.org:{checked.port}/a", rules) == b"checked"
    assert looks == ["files.example.org"]
    assert other.paths == []
    assert f"Host: files.example.org:{checked.port}" in checked.heads[0]
    with pytest.raises(AddressRefused):  # and now it leads elsewhere
        get(f"http://files.example.org:{checked.port}/a", rules)
    assert other.paths == []


def test_redirects_are_followed_and_counted(serve: Callable[..., Raw]) -> None:
    def answer(connection: socket.socket, path: str) -> None:
        left = int(path[1:])
        connection.sendall(ok() if left == 0 else moved(f"/{left - 1}", 301 + left % 2))

    server = serve(answer)
    assert get(f"{server.url}/5") == b"sound"
    assert server.paths == [f"/{left}" for left in range(5, -1, -1)]
    with pytest.raises(AddressFailed, match="5 times"):
        get(f"{server.url}/6")


@pytest.mark.parametrize(
    "where",
    [
        "http://10.0.0.1/", "http://169.254.169.254/latest/", "file:///etc/passwd",
        "http://[::ffff:169.254.169.254]/", "http://0x7f.1/", "gopher://127.0.0.1/", "//10.0.0.1/",
        "http://user:pw@127.0.0.1/", "https://192.168.0.1/", "http://2130706433/", "ftp:/a",
        "http://[::1]/", "\\\\10.0.0.1\\", "http://",
    ],
)  # fmt: skip
def test_redirects_are_checked_like_the_first(serve: Callable[..., Raw], where: str) -> None:
    inside = serve(always(ok(b"secret")), host="127.9.9.9")
    rules = Rules(networks=parse_networks(["127.0.0.1/32"]))
    server = serve(always(moved(where)))
    with pytest.raises((AddressRefused, AddressFailed)):
        get(f"{server.url}/", rules)
    server = serve(always(moved(f"{inside.url}/")))
    with pytest.raises(AddressRefused):
        get(f"{server.url}/", rules)
    assert inside.paths == []


def test_no_proxy_and_no_netrc_of_the_environment(
    serve: Callable[..., Raw], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy, server = serve(always(ok(b"proxy"))), serve(always(ok()))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert get(f"{server.url}/") == b"sound"
    assert proxy.paths == []
    assert "authorization" not in server.heads[0].lower()


def drip(first: bytes, piece: bytes) -> Answer:
    def answer(connection: socket.socket, path: str) -> None:
        connection.sendall(first)
        while True:
            time.sleep(0.05)
            connection.sendall(piece)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        drip(b"", b""),
        drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_time_is_bounded_for_all_of_it(serve: Callable[..., Raw], answer: Answer) -> None:
    server = serve(answer)
    begun_s = time.monotonic()
    with pytest.raises(AddressFailed) as caught:
        get(f"{server.url}/", timeout_s=0.6)
    assert time.monotonic() - begun_s < 20.0
    assert "127" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_answers_that_are_none(serve: Callable[..., Raw], data: bytes) -> None:
    with pytest.raises(AddressFailed):
        get(f"{serve(always(data)).url}/")


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(AddressFailed):
        get(f"http://127.0.0.1:{port}/")


def test_certificates_are_checked(tmp_path: Path) -> None:
    certificate, key = tmp_path / "a.pem", tmp_path / "a.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    plain = socket.create_server(("127.0.0.1", 0))
    port = plain.getsockname()[1]

    def serve_tls() -> None:
        while True:
            try:
                connection, _ = plain.accept()
            except OSError:
                return
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(connection, server_side=True) as tls,
            ):
                tls.recv(4096)
                tls.sendall(ok())

    threading.Thread(target=serve_tls, daemon=True).start()
    try:
        with pytest.raises(AddressFailed, match="certificate"):
            get(f"https://127.0.0.1:{port}/")
        trusting = ssl.create_default_context(cafile=certificate)
        with asked(
            "GET", f"https://127.0.0.1:{port}/", RULES, headers={}, timeout_s=5.0, tls=trusting
        ) as answer:  # fmt: skip
            assert answer.read(99) == b"sound"
    finally:
        plain.close()


# Recordings by address ---------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(
        tmp_path / "data", url_hosts=("127.0.0.1", "files.example.org"), max_upload_bytes=100_000,
        outbound_networks=("127.0.0.1/32",), url_timeout_s=1.5,
    ) as found:  # fmt: skip
        yield found


def fetch(service: Running, url: str, **more: Any) -> httpx.Response:
    with service.client("read", "write") as client:
        headers = more.pop("headers", {})
        return client.post("/recordings/from-url", json={"url": url, **more}, headers=headers)


def allowed(service: Running, server: Raw) -> str:
    """Its address, with its port among those that may be asked."""
    hosts = (f"127.0.0.1:{server.port}", "files.example.org")
    service.service.settings = service.service.settings.model_copy(update={"url_hosts": hosts})
    return server.url


def assert_nothing_left(service: Running) -> None:
    wait_until(lambda: not service.incoming())
    assert service.blobs() == []
    assert service.service.desk.jobs() == []


def test_a_recording_from_an_address(service: Running, serve: Callable[..., Raw]) -> None:
    url = allowed(service, serve(always(ok(b"sound" * 10_000))))
    key = {"Idempotency-Key": "k"}
    answer = fetch(
        service, f"{url}/a/%E8%AE%B2%E5%BA%A7.mp3?token=x", options={"language": "zh"}, headers=key
    )
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["name"], job["options"]["language"], job["state"]) == ("讲座.mp3", "zh", "queued")
    with service.client() as client:
        got = client.get(f"/recordings/{job['recording_id']}/audio").content
    assert got == b"sound" * 10_000
    assert fetch(service, f"{url}/a", headers=key).json()["id"] == job["id"]
    with Client(service.url, service.key("write")) as client:
        assert client.submit_url(f"{url}/b.wav", name="c").name == "c"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"HTTP/1.1 404 No\r\nContent-Length: 6\r\n\r\nsecret", 422, "address.failed"),
        (ok(b""), 422, "audio.empty"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 422, "audio.empty"),
        (ok(b"x" * 100_001), 413, "request.too_large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30d41\r\n" + b"x" * 200_001, 413,
         "request.too_large"),
        (ok(b"x", "Content-Encoding: gzip"), 422, "address.failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nabc", 422, "address.failed"),
        (moved("http://169.254.169.254/"), 403, "address.refused"),
        (moved("http://127.0.0.1:1/"), 403, "address.refused"),
    ],
)  # fmt: skip
def test_what_cannot_be_fetched_leaves_nothing(
    service: Running, serve: Callable[..., Raw], data: bytes, status: int, code: str
) -> None:
    url = allowed(service, serve(always(data)))
    answer = fetch(service, f"{url}/private-path.mp3")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "secret" not in answer.text
    assert "private-path" not in answer.text
    assert_nothing_left(service)


def test_endless_audio_ends_in_time(service: Running, serve: Callable[..., Raw]) -> None:
    endless = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n", b"x")
    begun_s = time.monotonic()
    answer = fetch(service, f"{allowed(service, serve(endless))}/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "address.failed")
    assert time.monotonic() - begun_s < 30
    assert_nothing_left(service)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:22/", "https://other.example.org/a", "file:///etc/passwd",
     "http://localhost/", "http://127.1/", "https://user@files.example.org/", "http://[::1]/"],
)  # fmt: skip
def test_other_hosts_are_not_asked(service: Running, url: str) -> None:
    answer = fetch(service, url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "address.refused")


def test_an_allowed_name_that_leads_inside(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def look(host: str, port: Any, *args: Any, **values: Any) -> Any:
        if host == "files.example.org":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", port))]
        return real(host, port, *args, **values)

    monkeypatch.setattr(socket, "getaddrinfo", look)
    answer = fetch(service, "https://files.example.org/a.mp3")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "address.refused")
    assert "10.0.0.7" not in answer.text


def test_it_is_off_unless_hosts_are_allowed(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        answer = fetch(service, "https://example.org/a.mp3")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "address.refused")
        assert "LINGTING_URL_HOSTS" in answer.json()["error"]["next_step"]


def test_what_is_wrong_is_said_before_anything_is_asked(
    service: Running, serve: Callable[..., Raw]
) -> None:
    server = serve(always(ok()))
    url = f"{allowed(service, server)}/"
    for more, code in (
        ({"options": {"language": "qqq"}}, "language.unknown"),
        ({"options": {"x": 1}}, "option.unknown"),
        ({"batch": "x"}, "batch.not_found"),
        ({"options": {"glossary": "x"}}, "store.glossary_not_found"),
        ({"priority": "x"}, "option.invalid"),
        ({"other": 1}, "request.body_invalid"),
    ):
        assert fetch(service, url, **more).json()["error"]["code"] == code
    assert server.paths == []
    with service.client("read") as reader:
        assert reader.post("/recordings/from-url", json={"url": url}).status_code == 403
