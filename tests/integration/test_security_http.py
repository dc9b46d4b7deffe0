"""The running service under attack, by HTTP. See docs/security.md for what is held against what."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from lingting.log import JsonLines
from lingting.server import access as access_module
from lingting.server import passwords
from lingting.server.guard import Patience
from tests.integration.server_parts import Running, head, raw, running
from tests.integration.store_parts import plain_transcript

SCRIPT = "<script>alert(1)</script>"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("security")) as made:
        yield made


@pytest.fixture(scope="module")
def recording(service: Running) -> str:
    """With a hostile name and text, of the user admin."""
    made = service.service.store.keep(
        io.BytesIO(b"sound"), plain_transcript(2), name=f'{SCRIPT}"\r\nX-Evil: 1.mp3', owner="admin"
    )
    return made.recording.id


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client() as made:
        yield made


# Bodies -------------------------------------------------------------------------------------------

WRITES = (
    ("POST", "/batches"), ("POST", "/search"), ("PUT", "/transcripts/{id}"),
    ("PATCH", "/transcripts/{id}"), ("PUT", "/glossaries/x"), ("POST", "/recordings/{id}/tags"),
    ("POST", "/recordings/{id}/notes"), ("PATCH", "/recordings/{id}/notes/x"),
    ("POST", "/recordings/{id}/jobs"), ("POST", "/recordings/from-url"), ("POST", "/webhooks"),
    ("POST", "/users"), ("POST", "/keys"), ("POST", "/departments"), ("PATCH", "/settings"),
)  # fmt: skip
_HALF = "\ud800"
BODIES: dict[str, bytes] = {
    "deep lists": b"[" * 500_000,
    "deep objects": b'{"name":' * 100_000,
    "deep value": b'{"options":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "long number": b'{"name":' + b"9" * 5_000 + b"}",
    "not finite": b'{"name":NaN,"based_on":Infinity,"query":"x","min_confidence":NaN}',
    "no UTF-8": b'{"name":"\xff\xfe"}',
    "half a character": json.dumps(
        {
            "name": _HALF, "query": _HALF, "words": [_HALF], "add": [_HALF], "url": "https://x/",
            "options": {"prompt": _HALF, "hotwords": [_HALF]}, "based_on": 0,
        }
    ).encode(),
    "half a character in options": json.dumps({"options": {"prompt": _HALF}}).encode(),
    "half a character of a note": json.dumps({"text": f"a\0{_HALF}", "at_s": 1e308}).encode(),
    "NUL": json.dumps({"name": "a\0b", "query": "a\0b", "add": ["a\0b"], "based_on": 0}).encode(),
    "twice": b'{"name":"a","name":["b"]}',
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "text": b'"x"',
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_no_body_makes_a_fault(body: str, client: httpx.Client, recording: str) -> None:
    for method, path in WRITES:
        path = path.format(id=recording)
        begun_s = time.monotonic()
        answer = client.request(method, path, content=BODIES[body], headers=JSON)
        assert answer.status_code < 500, (method, path)
        assert time.monotonic() - begun_s < 30.0


def test_a_large_body_is_refused_while_it_comes(service: Running) -> None:
    """No route reads more than its limit, whatever length was announced."""
    key = service.key()
    for path, method in (("/api/v1/batches", "POST"), ("/api/v1/search", "POST"), ("/mcp", "POST")):
        told = head(key, "Content-Length: 99999999999", path=path, method=method)
        answer = raw(service.port, told + b" " * (6 << 20), wait_s=20.0)
        assert answer.split(b"\r\n")[0].split()[1] == b"413", path


# Slow clients -------------------------------------------------------------------------------------


def test_many_slow_heads_do_not_keep_others_out(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 connections that send a byte of their head now and then: others are served, and they are
    let go in the end."""
    from lingting.server import protocol

    monkeypatch.setattr(protocol, "HEAD_S", 2.0)
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=15))
            for _ in range(200)
        ]
        for one in slow:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-A")
        begun_s = time.monotonic()
        assert httpx.get(f"{service.url}/healthz").status_code == 200
        assert time.monotonic() - begun_s < 2.0
        with pytest.raises(ConnectionError):
            _drip(slow[0])
        for one in slow[1:]:
            one.settimeout(10.0)
            try:
                assert one.recv(1_000) == b""
            except ConnectionResetError:
                continue


def _drip(connection: socket.socket) -> None:
    for _ in range(40):
        connection.sendall(b"a")
        time.sleep(0.2)


def test_a_slow_body_is_let_go(tmp_path: Path) -> None:
    patience = Patience(silence_s=0.5, grace_s=1.0, slowest_bytes_per_s=1_000.0)
    with running(tmp_path, patience=patience) as service:
        key = service.key()
        for path in ("/api/v1/search", "/mcp"):
            told = head(key, "Content-Length: 1000", "Content-Type: application/json", path=path)
            begun_s = time.monotonic()
            answer = raw(service.port, told + b"{", wait_s=10.0)
            assert answer.split(b"\r\n")[0].split()[1] == b"408"
            assert time.monotonic() - begun_s < 6.0


# Headers and paths --------------------------------------------------------------------------------


def test_a_name_cannot_make_a_header(client: httpx.Client, recording: str) -> None:
    for path in (f"/recordings/{recording}/audio", f"/exports/{recording}/txt"):
        answer = client.get(path)
        told = answer.headers["content-disposition"]
        assert answer.status_code == 200
        assert "x-evil" not in answer.headers
        assert told.isascii()
        assert told.isprintable()
        assert len(re.findall('"', told)) == 2
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "piece",
    [
        "%00", "%ed%a0%80", "%ff", "..%2f..%2fetc%2fpasswd", "%0d%0aX-Evil:%20a", "%2e%2e",
        "a" * 9_000,
    ],
    ids=["NUL", "half", "no UTF-8", "up", "line end", "dots", "long"],
)  # fmt: skip
def test_no_path_leads_elsewhere(piece: str, service: Running, recording: str) -> None:
    key = service.key()
    for path in (
        f"/recordings/{piece}", f"/recordings/{piece}/audio", f"/transcripts/{piece}",
        f"/exports/{recording}/{piece}", f"/jobs/{piece}", f"/batches/{piece}",
        f"/glossaries/{piece}", f"/users/{piece}", f"/departments/{piece}", f"/webhooks/{piece}",
        f"/uploads/{piece}", f"/recordings?after={piece}", f"/recordings?tag={piece}",
        f"/jobs?batch={piece}", f"/audit?after={piece}",
    ):  # fmt: skip
        asked = head(key, "Connection: close", path=f"/api/v1{path}", method="GET")
        answer = raw(service.port, asked)
        top, _, body = answer.partition(b"\r\n\r\n")
        assert top.split()[1] in {b"200", b"400", b"404", b"405", b"422"}, path
        assert b"x-evil" not in top.lower()
        assert b"root:" not in body


def test_an_id_is_compared_whole(service: Running, client: httpx.Client, recording: str) -> None:
    """The program takes the beginning of an id; over the network that would make guessing easy."""
    assert client.get(f"/recordings/{recording}").status_code == 200
    for guess in (recording[:4], recording[:-1], recording[:-1] + "%", recording.upper()):
        if guess != recording:
            assert client.get(f"/recordings/{guess}").status_code == 404


def test_no_other_site_may_read_an_answer(service: Running, recording: str) -> None:
    """No CORS header on anything, an answer to a preflight neither."""
    headers = {
        "Authorization": f"Bearer {service.key()}", "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization",
    }  # fmt: skip
    with httpx.Client(base_url=service.url, headers=headers) as http:
        for path in (
            "/", "/login", "/healthz", "/mcp", "/api/v1/recordings", "/api/v1/uploads",
            f"/api/v1/recordings/{recording}/audio", "/api/v1/nothing",
        ):  # fmt: skip
            for method in ("OPTIONS", "GET", "POST"):
                answer = http.request(method, path)
                found = [one for one in answer.headers if one.startswith("access-control-")]
                assert not found, (method, path)


def test_private_answers_are_kept_by_nobody(client: httpx.Client, recording: str) -> None:
    for path in (
        "/recordings", f"/recordings/{recording}", f"/transcripts/{recording}",
        f"/transcripts/{recording}/segments", f"/exports/{recording}/docx", "/jobs", "/users",
        "/audit", "/status", f"/recordings/{recording}/peaks", "/recordings/nothing",
    ):  # fmt: skip
        assert client.get(path).headers["cache-control"] == "no-store", path
    audio = client.get(f"/recordings/{recording}/audio")
    assert audio.headers["cache-control"] == "private, no-cache"


# Pages --------------------------------------------------------------------------------------------


def test_what_is_typed_is_never_markup(service: Running) -> None:
    for data in (
        {"user": f'">{SCRIPT}', "password": "x"},
        {"user": f"' onfocus='alert(1) {SCRIPT}", "password": SCRIPT},
    ):
        page = httpx.post(f"{service.url}/login", data=data)
        assert "<script" not in page.text
        assert "onfocus='alert" not in page.text
    for path in (
        f"/setup?token={SCRIPT}",
        f"/login?user={SCRIPT}",
        f"/login/oidc/callback?error={SCRIPT}",
    ):
        page = httpx.get(f"{service.url}{path}")
        assert "<script" not in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy


def test_texts_are_answered_as_data(client: httpx.Client, recording: str) -> None:
    """Names and texts of others come as JSON or as files, never as a page."""
    for path in (
        "/recordings", f"/recordings/{recording}", f"/transcripts/{recording}",
        f"/exports/{recording}/md", f"/exports/{recording}/vtt", f"/recordings/{recording}/audio",
    ):  # fmt: skip
        answer = client.get(path)
        assert not answer.headers["content-type"].startswith(("text/html", "image/svg")), path
        assert answer.headers["x-content-type-options"] == "nosniff"


# Keys, passwords and sessions ---------------------------------------------------------------------


def test_every_key_is_compared_in_constant_time(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []
    real = access_module.hmac.compare_digest

    def counted(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(access_module.hmac, "compare_digest", counted)
    key = service.key("read")
    access = service.service.access
    access.of_key(key)
    assert [len(one) for one in compared[-1]] == [64, 64], "digests, so no length is told either"


def test_the_time_of_a_wrong_key_says_nothing(service: Running) -> None:
    """Wrong in the first character, in the last, or with an id that nobody has."""
    key = service.key("read")
    other = "A" if key[-1] != "A" else "B"
    first = key[:14] + ("A" if key[14] != "A" else "B") + key[15:]
    kinds = {"first": first, "last": key[:-2] + other + key[-1]}
    access = service.service.access
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(400):
        for name, given in kinds.items():
            begun = time.perf_counter_ns()
            with pytest.raises(Exception, match="not valid"):
                access.of_key(given)
            times[name].append((time.perf_counter_ns() - begun) / 1_000)
    medians = {name: statistics.median(found) for name, found in times.items()}
    spread = statistics.quantiles(times["first"], n=4)
    noise_us = max(spread[2] - spread[0], 20.0)
    assert abs(medians["first"] - medians["last"]) < noise_us, medians


def test_a_name_that_nobody_has_costs_as_much_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argon2 runs for both, so the time does not tell who there is."""
    with running(tmp_path) as service:
        access = service.service.access
        access.set_password(access.new_link(), "a long password")
        verified: list[str] = []
        hasher = passwords._hasher()

        class Counting:
            def verify(self, hashed: str, password: str) -> bool:
                verified.append(hashed[:30])
                return bool(hasher.verify(hashed, password))

        monkeypatch.setattr(passwords, "_hasher", Counting)
        said = set()
        for user in ("admin", "nobody.here"):
            answer = httpx.post(
                f"{service.url}/login", data={"user": user, "password": "wrong password"}
            )
            said.add(answer.text.replace(user, ""))
        assert len(verified) == 2
        assert verified[0] == verified[1], "the same costs"
        assert len(said) == 1, "and the same page"


def test_a_session_is_never_one_that_was_brought_along(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        access = service.service.access
        access.set_password(access.new_link(), "a long password")
        planted = "0123456789." + "A" * 43
        with httpx.Client(base_url=service.url) as browser:
            browser.cookies.set("lingting_session", planted, domain="127.0.0.1")
            answer = browser.post("/login", data={"user": "admin", "password": "a long password"})
            told = answer.headers["set-cookie"]
            assert planted not in told
            assert "HttpOnly" in told
            assert "SameSite=strict" in told.replace("Strict", "strict")
        for cookie in (planted, planted.replace("A", "B")):
            asked = httpx.get(
                f"{service.url}/api/v1/recordings", cookies={"lingting_session": cookie}
            )
            assert asked.status_code == 401
        mine = re.search(r"lingting_session=([^;]+)", told)
        assert mine is not None
        cookies = {"lingting_session": mine[1]}
        again = httpx.post(
            f"{service.url}/login", data={"user": "admin", "password": "a long password"},
            cookies=cookies,
        )  # fmt: skip
        assert mine[1] not in again.headers["set-cookie"], "a new one with each sign-in"
        httpx.post(f"{service.url}/logout", cookies=cookies)
        ended = httpx.get(f"{service.url}/api/v1/recordings", cookies=cookies)
        assert ended.status_code == 401, "signed out is out, whoever kept the cookie"


def test_idempotency_keys_belong_to_their_user(service: Running) -> None:
    """Somebody who knows another's key gets neither their job nor their answer."""
    key = {"Idempotency-Key": "known-to-both"}
    with (
        service.client("read", "write", user="ida") as ida,
        service.client("read", "write", user="otto") as otto,
    ):
        hers = ida.post("/recordings", files={"file": ("a.wav", b"hers")}, headers=key).json()
        his = otto.post("/recordings", files={"file": ("b.wav", b"his")}, headers=key).json()
        first, second = (one["items"][0]["job"] for one in (hers, his))
        assert first["id"] != second["id"]
        assert second["owner"] == "otto"
        assert otto.get("/jobs/submitted", headers=key).json()["id"] == second["id"]
        key = {"Idempotency-Key": "another-of-both"}
        batches = [
            one.post("/batches", json={"name": "b"}, headers=key).json() for one in (ida, otto)
        ]
        assert batches[0]["id"] != batches[1]["id"]
        assert otto.get(f"/batches/{batches[0]['id']}").status_code == 404


def test_the_same_audio_of_another_is_not_told(service: Running) -> None:
    """Audio is kept once, but who gives what is there already learns nothing."""
    with (
        service.client("read", "write", user="ida") as ida,
        service.client("read", "write", user="otto") as otto,
    ):
        hers = ida.post("/recordings", files={"file": ("same.wav", b"the very same")}).json()
        his = otto.post("/recordings", files={"file": ("same.wav", b"the very same")}).json()
        first, second = (one["items"][0]["job"] for one in (hers, his))
        assert first["recording_id"] != second["recording_id"]
        assert first.keys() == second.keys()
        mine = otto.get(f"/recordings/{second['recording_id']}").json()
        assert (mine["owner"], mine["revision"]) == ("otto", 0)
        assert otto.get(f"/recordings/{first['recording_id']}").status_code == 404


# Logs ---------------------------------------------------------------------------------------------


def test_nothing_that_is_sent_makes_a_line_of_the_log(service: Running, recording: str) -> None:
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonLines().format(record))

    handler, root = Keeping(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("lingting.server").setLevel(logging.DEBUG)
    evil = '%0a{"at":"now","event":"forged 伪造"}'
    try:
        key = service.key()
        for path in (f"/api/v1/{evil}", f"/api/v1/recordings/{evil}", f"/{evil}", f"/mcp?{evil}"):
            raw(
                service.port,
                head(
                    key, "Connection: close", f"User-Agent: {evil}", f"X-Request-ID: forged {evil}",
                    f"Idempotency-Key: forged{evil}", "Referer: forged", path=path, method="GET",
                ),
            )  # fmt: skip
        with service.client() as client:
            client.post("/search", json={"query": 'forged\n{"event":"x"}'})
            client.post("/batches", json={"name": 'forged\n{"event":"x"}'})
            client.post("/recordings", files={"file": ("forged\n.wav", b"forged")})
            client.get(f"/recordings/{recording}/audio")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        logging.getLogger("lingting.server").setLevel(logging.NOTSET)
    ours = [line for line in lines if '"event": "request"' in line or "lingting" in line]
    assert ours
    for line in lines:
        assert "\n" not in line
        json.loads(line)
        assert "forged" not in line
        assert "伪造" not in line
        assert SCRIPT not in line


# All at once --------------------------------------------------------------------------------------


def test_attacks_do_not_hold_up_others(service: Running, recording: str) -> None:
    """The event loop stays free while the worst bodies are being refused."""
    key, is_over = service.key(), threading.Event()

    def attack() -> None:
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
            while not is_over.is_set():
                http.put(
                    f"{service.url}/api/v1/transcripts/{recording}",
                    content=b'{"transcript":' + b"[" * 2_000_000,
                )
                http.post(f"{service.url}/api/v1/search", content=b"[" * 900_000, headers=JSON)
                http.post(
                    f"{service.url}/mcp", content=b'{"a":' * 500_000,
                    headers={**JSON, "Accept": "application/json, text/event-stream"},
                )  # fmt: skip

    threads = [threading.Thread(target=attack) for _ in range(2)]
    for one in threads:
        one.start()
    times: list[float] = []
    try:
        with httpx.Client() as http:
            for _ in range(60):
                begun_s = time.monotonic()
                assert http.get(f"{service.url}/healthz").status_code == 200
                times.append(time.monotonic() - begun_s)
                time.sleep(0.02)
    finally:
        is_over.set()
        for one in threads:
            one.join(60)
    assert statistics.quantiles(times, n=20)[18] < 0.5
