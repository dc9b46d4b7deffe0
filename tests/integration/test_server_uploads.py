"""Recordings come in over HTTP: whole, or refused with nothing left of them."""

import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from server_parts import (
    END,
    FORM,
    Running,
    chunked,
    file_part,
    head,
    raw,
    running,
    wait_until,
)

from lingting.server.guard import Patience

LIMIT = 300_000
A_FORM = {"Content-Type": "multipart/form-data; boundary=b"}
QUICK = Patience(silence_s=1.0, grace_s=1.0, leftover_s=0.5)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data", patience=QUICK, max_upload_bytes=LIMIT) as found:
        yield found


def data_of(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - the same bytes in every run


def assert_nothing_left(service: Running) -> None:
    wait_until(lambda: not service.incoming())
    assert service.blobs() == []
    assert service.service.store.recordings() == []
    assert service.service.desk.jobs() == []


def test_a_file_becomes_a_recording_and_a_job(service: Running) -> None:
    content = data_of(200_000)
    with service.client() as client:
        answer = client.post(
            "/recordings",
            data={
                "language": "Chinese", "words": "true", "hotwords": ["听听", "退款\n工单"],
                "sha256": hashlib.sha256(content).hexdigest(), "name": "讲座/第一讲.mp3",
            },
            files={"file": ("x", content)},
        )  # fmt: skip
        assert answer.status_code == 202, answer.text
        (item,) = answer.json()["items"]
        job = item["job"]
        assert (job["state"], job["name"], job["owner"]) == ("queued", "讲座/第一讲.mp3", "admin")
        assert job["options"]["language"] == "zh"
        assert job["options"]["words"] is True
        assert job["options"]["hotwords"] == ["听听", "退款", "工单"]
        found = client.get(f"/recordings/{job['recording_id']}").json()
        assert found["digest"] == hashlib.sha256(content).hexdigest()
        assert found["size_bytes"] == len(content)
        assert found["duration_s"] is None
        assert client.get(f"/recordings/{found['id']}/audio").content == content
    assert service.incoming() == []


def test_the_same_key_gives_the_same_job(service: Running) -> None:
    with service.client() as client:

        def send(content: bytes, key: str) -> httpx.Response:
            return client.post(
                "/recordings", files={"file": ("a.wav", content)}, headers={"Idempotency-Key": key}
            )

        first, again = send(b"one", "k1"), send(b"one", "k1")
        assert first.json() == again.json()
        submitted = client.get("/jobs/submitted", headers={"Idempotency-Key": "k1"})
        assert submitted.json()["id"] == first.json()["items"][0]["job"]["id"]
        conflict = send(b"two", "k1")
        assert conflict.status_code == 409
        assert conflict.json()["error"]["code"] == "request.conflict"
        assert len(service.service.desk.jobs()) == 1
        assert len(service.blobs()) == 1, "what was refused is not kept"
        unknown = client.get("/jobs/submitted", headers={"Idempotency-Key": "k2"})
        assert unknown.status_code == 404


def test_many_files_in_one_request_each_get_their_answer(service: Running) -> None:
    contents = [data_of(1_000, seed) for seed in range(200)]
    contents[7] = b""
    contents[9] = data_of(LIMIT + 50_000)
    with service.client() as client:
        batch = client.post("/batches", json={"name": "tiny"}).json()
        files = [("file", (f"{at}.wav", one)) for at, one in enumerate(contents)]
        answer = client.post("/recordings", data={"batch": batch["id"]}, files=files)
        assert answer.status_code == 202
        items = answer.json()["items"]
        assert [item["name"] for item in items] == [f"{at}.wav" for at in range(200)]
        refused = {at: item["error"]["code"] for at, item in enumerate(items) if item["error"]}
        assert refused == {7: "audio.empty", 9: "request.too_large"}
        assert client.get(f"/batches/{batch['id']}").json()["counts"] == {"queued": 198}
    assert service.incoming() == []
    assert len(service.blobs()) == 198


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"files": {"file": ("a.wav", b"")}}, 422, "audio.empty"),
        ({"files": {"file": ("a.wav", b"x" * (LIMIT + 1))}}, 413, "request.too_large"),
        ({"files": {"other": ("a.wav", b"x")}}, 400, "request.body_invalid"),
        ({"files": {"file": ("a", b"x")}, "data": {"langage": "zh"}}, 400, "request.body_invalid"),
        ({"files": {"file": ("a", b"x")}, "data": {"words": "ja"}}, 400, "request.body_invalid"),
        ({"files": {"file": ("a", b"x")}, "data": {"beam_size": "99"}}, 400, "option.invalid"),
        ({"files": {"file": ("a", b"x")}, "data": {"language": "qqq"}}, 400, "language.unknown"),
        ({"files": {"file": ("a", b"x")}, "data": {"script": "x"}}, 400, "option.invalid"),
        ({"files": {"file": ("a", b"x")}, "data": {"priority": "x"}}, 400, "option.invalid"),
        ({"files": {"file": ("a", b"x")}, "data": {"batch": "x"}}, 404, "batch.not_found"),
        ({"files": {"file": ("a", b"x")}, "data": {"sha256": "x"}}, 400, "request.body_invalid"),
        ({"files": {"file": ("a", b"x")}, "data": {"sha256": "0" * 64}}, 400,
         "request.body_incomplete"),
        ({"files": {"file": ("a", b"x")}, "data": {"prompt": "x" * 70_000}}, 413,
         "request.too_large"),
        ({"data": {"words": "true"}, "files": {}}, 400, "request.body_invalid"),
        ({"json": {"file": "x"}}, 400, "request.body_invalid"),
        ({"content": b"x" * 100}, 400, "request.body_invalid"),
        ({"content": b"--b\r\n", "headers": A_FORM}, 400, "request.body_incomplete"),
        ({"content": b"rubbish" * 9, "headers": A_FORM}, 400, "request.body_invalid"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_nothing(
    service: Running, sent: dict[str, object], status: int, code: str
) -> None:
    with service.client() as client:
        answer = client.post("/recordings", **sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert_nothing_left(service)


def test_too_many_files_are_refused_in_bounded_time(service: Running) -> None:
    tiny = b"".join(file_part(f"{at}.wav", b"") for at in range(10_001)) + END
    lines = (FORM, f"Content-Length: {len(tiny)}")
    answer = raw(service.port, head(service.key(), *lines) + tiny, wait_s=60)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"10000 files" in answer


def test_a_length_beyond_the_limit_is_stopped_at_the_limit(service: Running) -> None:
    """Whatever Content-Length says, and without one."""
    body = file_part("a.wav", data_of(4 * LIMIT)) + END
    for lines, sent in (
        ((FORM, f"Content-Length: {len(body)}"), body),
        ((FORM, "Transfer-Encoding: chunked"), chunked(body)),
        ((FORM, f"Content-Length: {10**15}"), body),
    ):
        answer = raw(service.port, head(service.key(), *lines) + sent)
        assert answer.startswith(b"HTTP/1.1 413"), answer[:200]
        assert b"request.too_large" in answer
        assert_nothing_left(service)


def test_an_endless_body_is_not_read_to_its_end(service: Running) -> None:
    sent = 0
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head(service.key(), FORM, "Transfer-Encoding: chunked"))
        piece = chunked(file_part("a.wav", b"x" * 100_000))[:-5]
        with contextlib.suppress(OSError):
            while sent < 1 << 30:
                connection.sendall(piece)
                sent += len(piece)
                piece = chunked(b"x" * 100_000)[:-5]
    assert sent < 100 << 20
    assert_nothing_left(service)


def test_a_length_shorter_than_the_body(service: Running) -> None:
    """What is behind is read as another request, and is none."""
    body = file_part("a.wav", b"x" * 1_000) + END
    data = head(service.key(), FORM, f"Content-Length: {len(body) - 300}") + body
    answer = raw(service.port, data)
    assert answer.startswith(b"HTTP/1.1 400")
    assert_nothing_left(service)


def test_a_client_that_goes_away_leaves_nothing(service: Running) -> None:
    body = file_part("a.wav", data_of(200_000))
    announced = head(service.key(), FORM, "Content-Length: 250000")
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(announced + body)
        wait_until(service.incoming)
    assert_nothing_left(service)


def test_a_client_that_stops_sending_is_let_go(service: Running) -> None:
    body = file_part("a.wav", data_of(100_000))
    data = head(service.key(), FORM, "Content-Length: 250000") + body
    began_s = time.monotonic()
    answer = raw(service.port, data)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"request.too_slow" in answer
    assert time.monotonic() - began_s < 30
    assert_nothing_left(service)


def test_a_client_that_drips_is_let_go(service: Running) -> None:
    began_s = time.monotonic()
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        connection.sendall(head(service.key(), FORM, "Content-Length: 250000"))
        connection.sendall(file_part("a.wav", b"x" * 10)[:-2])
        with contextlib.suppress(OSError):
            while time.monotonic() - began_s < 20:
                connection.sendall(b"x")
                time.sleep(0.1)
    assert time.monotonic() - began_s < 18
    assert_nothing_left(service)


def test_heads_that_never_end_are_dropped(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingting.server.protocol.HEAD_S", 1.0)
    began_s = time.monotonic()
    assert raw(service.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n", wait_s=15) == b""
    assert time.monotonic() - began_s < 14
    answer = raw(service.port, b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 200_000)
    assert answer.startswith(b"HTTP/1.1 400")
    # A connection may be used again, and its second head counts by itself.
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert raw(service.port, whole * 2, wait_s=3).count(b"200 OK") == 2


NAMES = [
    "../../../../etc/passwd",
    "..\\..\\windows\\system32\\config",
    "/absolute/path.wav",
    "a\x00b.wav",
    "line\r\nSet-Cookie: x=1\r\n\r\n<script>",
    "\x1b[31mred\x07.wav",
    "\u202egnp.exe",
    "con.wav",
    "x" * 5_000 + ".wav",
    "'; drop table recordings; --.mp3",
    '"quotes" & <tags>.mp3',
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_data_and_never_paths(service: Running, name: str) -> None:
    before = {path for path in service.folder.parent.rglob("*") if "blobs" not in path.parts}
    with service.client() as client:
        answer = client.post("/recordings", data={"name": name}, files={"file": ("x", b"abc")})
        assert answer.status_code == 202
        kept = answer.json()["items"][0]["job"]["name"]
        assert kept == name.replace("\x00", "\ufffd")[:1_000]
        id = answer.json()["items"][0]["job"]["recording_id"]
        audio = client.get(f"/recordings/{id}/audio")
        assert audio.content == b"abc"
        disposition = audio.headers["content-disposition"]
        assert disposition.isprintable()
        assert "/" not in disposition.replace("UTF-8''", "")
        assert "\\" not in disposition
        assert "set-cookie" not in audio.headers
        assert audio.headers["content-type"] in {
            "application/octet-stream", "audio/x-wav", "audio/mpeg", "audio/wav",
        }  # fmt: skip
    after = {path for path in service.folder.parent.rglob("*") if "blobs" not in path.parts}
    assert {path.name for path in after - before} <= {"lingting.db-wal", "lingting.db-shm"}


def test_what_is_no_media_is_only_a_blob_to_the_web_process(
    service: Running, tmp_path: Path
) -> None:
    """A zip bomb is never unpacked here; its job says that it is no recording."""
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(200 << 20))
    with service.client() as client, bomb.open("rb") as stream:
        answer = client.post("/recordings", files={"file": ("talk.mp3", stream)})
    assert answer.status_code == 202
    assert bomb.stat().st_size < LIMIT
    assert sum(path.stat().st_size for path in service.folder.rglob("*")) < 5 << 20


def test_uploads_wait_for_their_turn_and_nobody_starves(service: Running) -> None:
    """Forty clients at once on sixteen places, half of them slow."""
    results: list[int] = []
    key = service.key()

    def send(number: int) -> None:
        body = file_part(f"{number}.wav", data_of(50_000, number)) + END
        data = head(key, FORM, f"Content-Length: {len(body)}", "Connection: close") + body
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
            connection.sendall(data[:20_000])
            if number % 2:
                time.sleep(0.3)
            connection.sendall(data[20_000:])
            results.append(int(connection.recv(100).split()[1]))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [202] * 40
    assert len(service.blobs()) == 40


def test_a_killed_process_leaves_half_a_file_that_the_next_one_removes(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "LINGTING_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "lingting", "web", "--port", str(port)]

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        wait_until(lambda: _answers(port), 30)
        return process

    incoming = tmp_path / "data" / "blobs" / "incoming"
    key_file = tmp_path / "data" / "run" / "key"
    process = start()
    try:
        wait_until(key_file.exists)
        key = key_file.read_text().strip()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head(key, FORM, "Content-Length: 9000000"))
            connection.sendall(file_part("a.wav", data_of(5_000_000)))
            wait_until(lambda: any(one.stat().st_size for one in incoming.glob("*")))
            process.kill()
            process.wait(10)
        assert len(list(incoming.iterdir())) == 1
        process = start()
        wait_until(lambda: not list(incoming.iterdir()))
        assert key_file.read_text().strip() == key, "the key of this machine stays good"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).is_success
    except httpx.HTTPError:
        return False


def test_the_boundary_of_a_form_is_checked(service: Running) -> None:
    for boundary in ("", "x" * 300):
        kind = f"Content-Type: multipart/form-data; boundary={boundary}"
        asked = head(service.key(), kind, "Content-Length: 2", "Connection: close") + b"--"
        assert raw(service.port, asked).startswith(b"HTTP/1.1 400")


def test_a_database_that_is_locked_is_a_503_and_its_audio_is_taken_up_later(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingting.store.database.BUSY_TIMEOUT_S", 0.5)
    with service.client() as client:
        with service.service.store.database.write():
            answer = client.post("/recordings", files={"file": ("a.wav", b"abc")})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["code"] == "store.busy"
        assert client.post("/recordings", files={"file": ("a.wav", b"abc")}).status_code == 202
    assert len(service.blobs()) == 1


def test_a_full_disk_is_a_fault_that_leaves_nothing(tmp_path: Path) -> None:
    """A file size limit of the process fails as a full disk does, in the middle of a write."""
    program = (
        "import resource, signal, sys\n"
        "from lingting.config import settings; from lingting.server.serving import run_web\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))\n"
        "run_web(settings())\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path / "data"
    environment = {**os.environ, "LINGTING_DATA_DIR": str(folder), "LINGTING_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    try:
        wait_until(lambda: _answers(port), 30)
        wait_until((folder / "run" / "key").exists)
        headers = {"Authorization": "Bearer " + (folder / "run" / "key").read_text().strip()}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers) as client:
            large = client.post("/recordings", files={"file": ("a.wav", data_of(3 << 20))})
            assert large.status_code == 500
            assert large.json()["error"]["code"] == "store.unreachable"
            assert list((folder / "blobs" / "incoming").iterdir()) == []
            small = client.post("/recordings", files={"file": ("b.wav", b"fits")})
            assert small.status_code == 202
        assert len([one for one in (folder / "blobs").rglob("*") if one.is_file()]) == 1
    finally:
        process.terminate()
        process.wait(20)
