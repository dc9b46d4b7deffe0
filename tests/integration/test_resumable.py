"""Uploads that are cut, resumed and taken over: what arrives is what was sent."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from server_parts import Running, head, raw, running, wait_until
from store_parts import s3_server

from lingting.server import resumable
from lingting.server.guard import Patience

LIMIT = 40 << 20
QUICK = Patience(silence_s=2.0, grace_s=2.0, leftover_s=0.5)
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}
PLACE = "/api/v1/uploads"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(
        tmp_path / "data", patience=QUICK, max_upload_bytes=LIMIT, open_uploads=5
    ) as found:
        yield found


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client() as found:
        yield found


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "PART_BYTES", 100_000)


def data_of(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - the same bytes in every run


def metadata(**fields: str) -> str:
    return ",".join(
        f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items()
    )


def begin(client: httpx.Client, size: int, *, headers: Any = None, **fields: str) -> httpx.Response:
    given = {**TUS, "Upload-Length": str(size), **(headers or {})}
    if fields:
        given["Upload-Metadata"] = metadata(**fields)
    return client.post("/uploads", headers=given)


def begun(client: httpx.Client, size: int, **fields: str) -> str:
    answer = begin(client, size, **fields)
    assert answer.status_code == 201, answer.text
    place: str = answer.headers["location"]
    assert place.startswith(f"{PLACE}/")
    return place.removeprefix("/api/v1")


def send(client: httpx.Client, place: str, offset: int, data: bytes, **more: str) -> httpx.Response:
    headers = {**PIECE, "Upload-Offset": str(offset), **more}
    return client.patch(place, content=data, headers=headers)


def offset_of(client: httpx.Client, place: str) -> int:
    answer = client.head(place, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


def send_rest(client: httpx.Client, place: str, data: bytes) -> httpx.Response:
    """All that is left, as clients do: what was sent before may still be on its way."""
    while True:
        offset = offset_of(client, place)
        answer = send(client, place, offset, data[offset:])
        if answer.status_code != 409:
            return answer


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["tus-resumable"] == "1.0.0"
    return answer.status_code, answer.json()["error"]["code"]


def files(service: Running) -> list[str]:
    folder = service.folder / "uploads"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def audio_of(client: httpx.Client, answer: httpx.Response) -> bytes:
    return client.get(f"/recordings/{answer.headers['lingting-recording']}/audio").content


def test_three_pieces_become_a_recording_and_a_job(service: Running, client: httpx.Client) -> None:
    data = data_of(300_000)
    place = begun(
        client, len(data), filename="讲座/第一讲.mp3", filetype="audio/mpeg", language="Chinese",
        words="true", hotwords="听听\n退款", priority="high",
        sha256=hashlib.sha256(data).hexdigest(),
    )  # fmt: skip
    for start in (0, 100_000):
        answer = send(client, place, start, data[start : start + 100_000])
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["upload-offset"] == str(start + 100_000)
        assert "upload-expires" in answer.headers
        assert "lingting-job" not in answer.headers
    assert client.get("/uploads").json()["items"][0]["received_bytes"] == 200_000
    last = send(client, place, 200_000, data[200_000:])
    assert last.status_code == 204
    job = client.get(f"/jobs/{last.headers['lingting-job']}").json()
    assert (job["state"], job["name"], job["priority"]) == ("queued", "讲座/第一讲.mp3", "high")
    assert (job["options"]["language"], job["options"]["words"]) == ("zh", True)
    assert job["options"]["hotwords"] == ["听听", "退款"]
    assert audio_of(client, last) == data
    shown = client.get(place).json()
    assert (shown["state"], shown["job"]["id"]) == ("done", job["id"])
    assert client.get("/uploads").json()["items"] == []
    assert files(service) == []
    assert service.incoming() == []
    # Asked again after the answer was lost, it is complete; more is not taken.
    assert offset_of(client, place) == len(data)
    assert refusal(send(client, place, len(data), b"x")) == (410, "upload.gone")


def test_what_the_server_says_of_itself(client: httpx.Client) -> None:
    answer = client.options("/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"
    assert answer.headers["tus-max-size"] == str(LIMIT)
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation", "creation-with-upload", "checksum", "expiration", "termination",
        "concatenation",
    }  # fmt: skip


def test_all_at_once_with_the_creation(client: httpx.Client) -> None:
    data = data_of(50_000)
    answer = client.post(
        "/uploads", content=data,
        headers={**PIECE, "Upload-Length": str(len(data)), "Upload-Metadata": metadata(name="a")},
    )  # fmt: skip
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, str(len(data)))
    assert audio_of(client, answer) == data


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 412, "upload.protocol"),
        ({"Tus-Resumable": "0.2.2"}, 412, "upload.protocol"),
        ({**TUS}, 400, "request.body_invalid"),
        ({**TUS, "Upload-Length": "-1"}, 400, "request.body_invalid"),
        ({**TUS, "Upload-Length": "1e9"}, 400, "request.body_invalid"),
        ({**TUS, "Upload-Defer-Length": "1"}, 400, "request.body_invalid"),
        ({**TUS, "Upload-Length": "0"}, 422, "audio.empty"),
        ({**TUS, "Upload-Length": str(LIMIT + 1)}, 413, "request.too_large"),
        ({**TUS, "Upload-Length": "9", "Upload-Metadata": "name ?"}, 400, "request.body_invalid"),
        ({**TUS, "Upload-Length": "9", "Upload-Metadata": "name YQ==,name YQ=="}, 400,
         "request.body_invalid"),
        ({**TUS, "Upload-Length": "9", "Upload-Metadata": metadata(langage="zh")}, 400,
         "request.body_invalid"),
        ({**TUS, "Upload-Length": "9", "Upload-Metadata": metadata(language="qqq")}, 400,
         "language.unknown"),
        ({**TUS, "Upload-Length": "9", "Upload-Metadata": metadata(beam_size="99")}, 400,
         "option.invalid"),
        ({**TUS, "Upload-Length": "9", "Upload-Metadata": metadata(priority="x")}, 400,
         "option.invalid"),
        ({**TUS, "Upload-Length": "9", "Upload-Metadata": metadata(batch="x")}, 404,
         "batch.not_found"),
        ({**TUS, "Upload-Length": "9", "Upload-Metadata": metadata(glossary="x")}, 404,
         "store.glossary_not_found"),
        ({**TUS, "Upload-Length": "9", "Upload-Concat": "whole"}, 400, "request.body_invalid"),
        ({**TUS, "Upload-Concat": "final;/etc/passwd"}, 400, "request.body_invalid"),
        ({**TUS, "Upload-Concat": f"final;{PLACE}/aaaaaaaaaaaa"}, 404, "upload.not_found"),
    ],
)  # fmt: skip
def test_what_is_refused_at_the_beginning(
    service: Running, client: httpx.Client, headers: dict[str, str], status: int, code: str
) -> None:
    assert refusal(client.post("/uploads", headers=headers)) == (status, code)
    assert client.get("/uploads").json()["items"] == []
    assert files(service) == []


def test_what_is_refused_on_the_way(service: Running, client: httpx.Client) -> None:
    place = begun(client, 1_000)
    assert refusal(send(client, place, 5, b"x")) == (409, "upload.conflict")
    assert refusal(send(client, place, 0, b"x" * 1_001)) == (413, "request.too_large")
    headers = {**TUS, "Upload-Offset": "0", "Content-Type": "text/plain"}
    assert refusal(client.patch(place, content=b"x", headers=headers)) == (
        415, "upload.content_type",
    )  # fmt: skip
    headers = {"Upload-Offset": "0", "Content-Type": PIECE["Content-Type"]}
    assert refusal(client.patch(place, content=b"x", headers=headers)) == (412, "upload.protocol")
    assert refusal(client.patch(place, content=b"x", headers=PIECE)) == (
        400, "request.body_invalid",
    )  # fmt: skip
    assert offset_of(client, place) == 0
    # A body without a length is stopped where the upload ends.
    endless = iter([b"x" * 600, b"x" * 600])
    answer = client.patch(place, content=endless, headers={**PIECE, "Upload-Offset": "0"})
    assert refusal(answer) == (413, "request.too_large")
    assert refusal(send(client, "/uploads/aaaa", 0, b"x")) == (404, "upload.not_found")
    with service.client("read", "write", user="li") as other:
        assert other.head(place, headers=TUS).status_code == 404
        assert refusal(send(other, place, 0, b"x")) == (404, "upload.not_found")
        assert refusal(other.delete(place, headers=TUS)) == (404, "upload.not_found")
        assert other.get(place).status_code == 404
        assert other.get("/uploads").json()["items"] == []
    with service.client("read") as reader:
        assert reader.post("/uploads", headers={**TUS, "Upload-Length": "9"}).status_code == 403


def test_checksums(service: Running, client: httpx.Client) -> None:
    data = data_of(200_000)
    place = begun(client, len(data))

    def checksum(piece: bytes) -> str:
        return "sha256 " + base64.b64encode(hashlib.sha256(piece).digest()).decode()

    first = data[:150_000]
    assert send(client, place, 0, first, **{"Upload-Checksum": checksum(first)}).status_code == 204
    wrong = send(client, place, 150_000, data[150_000:], **{"Upload-Checksum": checksum(b"")})
    assert refusal(wrong) == (460, "upload.checksum_mismatch")
    assert offset_of(client, place) == 150_000
    for given in ("md5 YQ==", "sha256 ?", "sha256 YQ=="):
        answer = send(client, place, 150_000, data[150_000:], **{"Upload-Checksum": given})
        assert refusal(answer) == (400, "request.body_invalid")
    last = send(
        client, place, 150_000, data[150_000:], **{"Upload-Checksum": checksum(data[150_000:])}
    )
    assert audio_of(client, last) == data
    assert files(service) == []


def test_the_whole_is_checked_at_the_end(service: Running, client: httpx.Client) -> None:
    place = begun(client, 1_000, sha256="0" * 64)
    assert refusal(send(client, place, 0, b"x" * 1_000)) == (400, "request.body_incomplete")
    shown = client.get(place).json()
    assert (shown["state"], shown["error"]["code"]) == ("failed", "request.body_incomplete")
    assert client.head(place, headers=TUS).status_code == 410
    assert files(service) == []
    assert service.blobs() == []
    assert service.service.desk.jobs() == []


def test_ended_uploads_leave_nothing(service: Running, client: httpx.Client) -> None:
    place = begun(client, 1_000)
    assert send(client, place, 0, b"x" * 500).status_code == 204
    assert len(files(service)) == 1
    assert client.delete(place, headers=TUS).status_code == 204
    assert files(service) == []
    assert client.head(place, headers=TUS).status_code == 410
    assert refusal(send(client, place, 500, b"x" * 500)) == (410, "upload.gone")
    assert refusal(client.delete(place, headers=TUS)) == (410, "upload.gone")


def test_only_so_many_of_one_user(service: Running, client: httpx.Client) -> None:
    places = [begun(client, 10) for _ in range(5)]
    assert refusal(begin(client, 10)) == (429, "upload.too_many")
    with service.client("read", "write", user="li") as other:
        begun(other, 10)
    assert client.delete(places[0], headers=TUS).status_code == 204
    assert send(client, places[1], 0, b"x" * 10).status_code == 204
    begun(client, 10)
    begun(client, 10)


def test_the_same_content_goes_on_where_it_was(service: Running, client: httpx.Client) -> None:
    data = data_of(1_000)
    digest = hashlib.sha256(data).hexdigest()
    place = begun(client, 1_000, sha256=digest, name="a.wav")
    send(client, place, 0, data[:400])
    again = begin(client, 1_000, sha256=digest, name="a.wav")
    assert again.headers["location"].endswith(place)
    assert again.headers["upload-offset"] == "400"
    for other in (
        begin(client, 1_000, sha256=digest, name="b.wav"),
        begin(client, 1_000, sha256=digest, name="a.wav", language="zh"),
        begin(client, 1_000, name="a.wav"),
    ):
        assert not other.headers["location"].endswith(place)
    with service.client("read", "write", user="li") as other_user:
        assert begun(other_user, 1_000, sha256=digest, name="a.wav") != place


def test_a_key_gives_the_same_job(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "k1"}
    jobs = []
    for _ in range(2):
        place = begin(client, 4, headers=key).headers["location"].removeprefix("/api/v1")
        jobs.append(send(client, place, 0, b"same").headers["lingting-job"])
    assert jobs[0] == jobs[1]
    assert client.get("/jobs/submitted", headers=key).json()["id"] == jobs[0]
    place = begin(client, 5, headers=key).headers["location"].removeprefix("/api/v1")
    assert refusal(send(client, place, 0, b"other")) == (409, "request.conflict")


def test_joining_of_partial_uploads(service: Running, client: httpx.Client) -> None:
    data = data_of(300_000)
    partial = {"Upload-Concat": "partial"}
    places = []
    for start in (0, 100_000, 200_000):
        answer = begin(client, 100_000, headers=partial)
        place = answer.headers["location"].removeprefix("/api/v1")
        last = send(client, place, 0, data[start : start + 100_000])
        assert "lingting-job" not in last.headers
        places.append(answer.headers["location"])
    unfinished = begin(client, 10, headers=partial).headers["location"]
    wrong = {**TUS, "Upload-Concat": f"final;{places[0]} {unfinished}"}
    assert refusal(client.post("/uploads", headers=wrong)) == (400, "option.invalid")
    twice = {**TUS, "Upload-Concat": f"final;{places[0]} {places[0]}"}
    assert refusal(client.post("/uploads", headers=twice)) == (400, "option.invalid")
    headers = {
        **TUS, "Upload-Concat": "final;" + " ".join(places),
        "Upload-Metadata": metadata(name="joined.wav"),
    }  # fmt: skip
    made = client.post("/uploads", headers=headers)
    assert (made.status_code, made.headers["upload-offset"]) == (201, "300000")
    assert audio_of(client, made) == data
    assert files(service) == []
    assert client.head(places[0].removeprefix("/api/v1"), headers=TUS).status_code == 200
    again = send(client, made.headers["location"].removeprefix("/api/v1"), 300_000, b"")
    assert again.status_code in (403, 410)


# Cut -------------------------------------------------------------------------------------------


def cut_patch(
    port: int,
    key: str,
    path: str,
    offset: int,
    data: bytes,
    announced: int,
    *,
    is_reset: bool = True,
) -> None:
    """Send some of what is announced, then end the connection, or break it off."""
    top = head(
        key, "Tus-Resumable: 1.0.0", f"Content-Type: {PIECE['Content-Type']}",
        f"Upload-Offset: {offset}", f"Content-Length: {announced}", path=path, method="PATCH",
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(top + data)
        if is_reset:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def test_cut_twenty_times(service: Running, client: httpx.Client, small_parts: None) -> None:
    data = data_of(6_000_000)
    key, place = service.key(), begun(client, len(data), sha256=hashlib.sha256(data).hexdigest())
    rng = random.Random(7)  # noqa: S311
    offset, kept = 0, []
    for _ in range(20):
        size = rng.randrange(1, 300_000)
        left = data[offset:]
        cut_patch(service.port, key, f"/api/v1{place}", offset, left[:size], len(left))
        offset = offset_of(client, place)
        kept.append(offset)
        assert kept == sorted(kept)
    assert offset > 0
    last = send_rest(client, place, data)
    assert last.status_code == 204
    assert audio_of(client, last) == data
    assert files(service) == []
    assert len(service.service.desk.jobs()) == 1


def test_who_comes_back_takes_over(service: Running, client: httpx.Client) -> None:
    data = data_of(500_000)
    key, place = service.key(), begun(client, len(data))
    top = head(
        key, "Tus-Resumable: 1.0.0", f"Content-Type: {PIECE['Content-Type']}",
        "Upload-Offset: 0", f"Content-Length: {len(data)}", path=f"/api/v1{place}", method="PATCH",
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as silent:
        silent.sendall(top + data[:200_000])
        wait_until(lambda: service.service.resumables.is_active(place.rpartition("/")[2]))
        time.sleep(0.3)
        begun_s = time.monotonic()
        offset = offset_of(client, place)
        assert time.monotonic() - begun_s < 5.0, "the silent one is not waited for"
        assert offset == 200_000
        last = send(client, place, offset, data[offset:])
        assert last.status_code == 204
        assert silent.recv(65_536).startswith(b"HTTP/1.1 409")
    assert audio_of(client, last) == data


def test_two_that_send_the_same_at_once(service: Running, client: httpx.Client) -> None:
    """One of them wins each piece; nothing is mixed."""
    data = data_of(3_000_000)
    place = begun(client, len(data))
    refused: list[int] = []

    def push(seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311
        with service.client() as own:
            for _ in range(200):
                state = own.get(place).json()
                if state["state"] != "open":
                    return
                at = state["received_bytes"]
                answer = send(own, place, at, data[at : at + rng.randrange(1, 200_000)])
                assert answer.status_code in (204, 409, 410)
                refused.append(answer.status_code)

    threads = [threading.Thread(target=push, args=(seed,)) for seed in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert 409 in refused, "they did get in each other's way"
    assert client.get(place).json()["state"] == "done"
    (job,) = service.service.desk.jobs()
    assert client.get(f"/recordings/{job.recording_id}/audio").content == data
    assert files(service) == []


def test_a_slow_client_is_let_go_and_what_came_stays(
    service: Running, client: httpx.Client
) -> None:
    key, place = service.key(), begun(client, 1_000)
    top = head(
        key, "Tus-Resumable: 1.0.0", f"Content-Type: {PIECE['Content-Type']}",
        "Upload-Offset: 0", "Content-Length: 1000", path=f"/api/v1{place}", method="PATCH",
    )  # fmt: skip
    answer = raw(service.port, top + b"x" * 100)
    assert answer.startswith(b"HTTP/1.1 408")
    assert offset_of(client, place) == 100


def test_uploads_grow_too_old(
    service: Running, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio
    from datetime import UTC, datetime, timedelta

    from lingting.store import changes

    place = begun(client, 1_000)
    send(client, place, 0, b"x" * 500)
    later = datetime.now(UTC) + timedelta(days=1, minutes=1)
    monkeypatch.setattr(changes, "now", lambda: later)
    assert client.head(place, headers=TUS).status_code == 410
    assert refusal(send(client, place, 500, b"x")) == (410, "upload.gone")
    asyncio.run(service.service.resumables.sweep())
    assert files(service) == []
    assert client.get(place).json()["state"] == "ended"
    monkeypatch.setattr(changes, "now", lambda: later + timedelta(days=1, minutes=1))
    asyncio.run(service.service.resumables.sweep())
    assert client.get(place).status_code == 404


# Killed ----------------------------------------------------------------------------------------


class Web:
    """A web process of its own, which is killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.key = ""
        self.kills = 0

    def start(self) -> None:
        environment = {
            **os.environ, "LINGTING_DATA_DIR": str(self.folder), "LINGTING_PORT": str(self.port),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lingting", "web"], env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(self._answers, within_s=60)

    def _answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1


def test_twenty_cuts_with_kills_of_the_web_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 cuts in the midst of pieces, the process of four killed by -9: the original arrives."""
    from lingting.server.access import Access
    from lingting.store import open_store

    folder = tmp_path / "data"
    with open_store(folder) as store:
        access = Access(store)
        access.ensure_administrator()
        key = access.new_key("test", user="admin", scopes=("read", "write"))[1]
    web = Web(folder)
    web.start()
    data = data_of(60_000_000, seed=3)
    rng = random.Random(11)  # noqa: S311
    offset, after_kills = 0, []
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{web.port}/api/v1", timeout=60,
            headers={"Authorization": f"Bearer {key}"},
        ) as client:  # fmt: skip
            place = begun(client, len(data), sha256=hashlib.sha256(data).hexdigest())
            for cut in range(20):
                left = data[offset:]
                if cut % 5 == 4:
                    with sending(web.port, key, place, offset, len(left)) as connection:
                        connection.sendall(left[:9_000_000])
                        time.sleep(0.3)
                        web.kill()
                    web.start()
                    after_kills.append(offset_of(client, place) - offset)
                else:
                    size = rng.randrange(1, 1_000_000)
                    cut_patch(
                        web.port, key, f"/api/v1{place}", offset, left[:size], len(left)
                    )  # fmt: skip
                found = offset_of(client, place)
                assert found >= offset
                offset = found
            last = send_rest(client, place, data)
            assert last.status_code == 204, last.text
            assert hashlib.sha256(audio_of(client, last)).digest() == hashlib.sha256(data).digest()
    finally:
        web.kill()
    assert web.kills == 5
    assert max(after_kills) >= resumable.PART_BYTES, "what was acknowledged survives a kill"


@contextmanager
def sending(
    port: int, key: str, place: str, offset: int, announced: int
) -> Iterator[socket.socket]:
    """The head of a piece was sent."""
    top = head(
        key, "Tus-Resumable: 1.0.0", f"Content-Type: {PIECE['Content-Type']}",
        f"Upload-Offset: {offset}", f"Content-Length: {announced}", path=f"/api/v1{place}",
        method="PATCH",
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(top)
        yield connection


def test_a_kill_before_the_job_was_made(
    service: Running, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All bytes are there and nobody made a job of them: the sweep does, and asking does."""
    import asyncio

    whole: list[str] = []
    for _ in range(2):
        place = begun(client, 10)
        with monkeypatch.context() as patched:

            async def killed(_: Any) -> None:
                raise asyncio.CancelledError

            patched.setattr(service.service.resumables, "finish", killed)
            with contextlib.suppress(httpx.TransportError):
                send(client, place, 0, b"0123456789")
        whole.append(place)
        assert client.get("/jobs").json()["items"] == [] or len(whole) == 2
        if len(whole) == 1:
            assert client.get(place).json()["job"]["state"] == "queued"
    monkeypatch.setattr(resumable, "_IDLE_S", -1.0)
    asyncio.run(service.service.resumables.sweep())
    assert client.get(whole[1]).json()["state"] == "done"
    assert len(client.get("/jobs").json()["items"]) == 2


# Clients ---------------------------------------------------------------------------------------


class CuttingProxy:
    """Between a client and the service; cuts connections amid what is sent, so many times."""

    def __init__(self, port: int, cuts: int, most_bytes: int, least_bytes: int = 1) -> None:
        self._target = port
        self._rng = random.Random(5)  # noqa: S311
        self._range = (least_bytes, most_bytes)
        self.cuts_left = cuts
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            for start in (
                threading.Thread(target=self._upward, args=(near, far), daemon=True),
                threading.Thread(target=self._downward, args=(far, near), daemon=True),
            ):
                start.start()

    def _upward(self, near: socket.socket, far: socket.socket) -> None:
        """Counts what the client sends; small requests pass."""
        left = 2_000 + self._rng.randrange(*self._range)
        with contextlib.suppress(OSError):
            while piece := near.recv(16_384):
                left -= len(piece)
                if left < 0 and self._cut():
                    far.sendall(piece[: len(piece) + left])
                    break
                far.sendall(piece)
        for one in (near, far):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        near.close()
        far.close()

    def _downward(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := far.recv(16_384):
                near.sendall(piece)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)
        near.close()
        far.close()

    def _cut(self) -> bool:
        with self._lock:
            self.cuts_left -= 1
            return self.cuts_left >= 0

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes who waits for the next one
        self._listening.close()


@pytest.mark.parametrize("is_checked", [False, True])
def test_tuspy_through_twenty_cuts(service: Running, tmp_path: Path, is_checked: bool) -> None:
    """The client of the tus project, as it is."""
    from tusclient import client as tus

    data = data_of(12_000_000)
    path = tmp_path / "讲座.wav"
    path.write_bytes(data)
    proxy = CuttingProxy(service.port, 20, 700_000)
    with contextlib.closing(proxy), path.open("rb") as stream:
        uploader = tus.TusClient(
            f"http://127.0.0.1:{proxy.port}{PLACE}",
            headers={"Authorization": f"Bearer {service.key('write', 'read')}"},
        ).uploader(
            file_stream=stream, chunk_size=500_000, retries=40, retry_delay=0.05,
            metadata={"filename": path.name, "language": "zh"}, upload_checksum=is_checked,
        )  # fmt: skip
        uploader.upload()
    assert proxy.cuts_left < 0, "it was cut twenty times"
    (job,) = service.service.desk.jobs()
    assert (job.name, job.options["language"]) == ("讲座.wav", "zh")
    with service.service.store.blobs.open(
        service.service.store.recording(job.recording_id).digest
    ) as stream:
        assert stream.read() == data


def test_our_client_through_twenty_cuts(
    service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_parts: None
) -> None:
    from lingting.client import Client, resuming
    from lingting.errors import BodyInvalid, ServiceUnreachable

    monkeypatch.setattr(resuming, "PIECE_BYTES", 3_000_000)
    data = data_of(12_000_000)
    path = tmp_path / "talk.wav"
    path.write_bytes(data)
    proxy = CuttingProxy(service.port, 20, 700_000)
    sent: list[int] = []
    try:
        with Client(f"http://127.0.0.1:{proxy.port}", service.key("write", "read")) as client:
            job = client.submit(
                path, options={"hotwords": ["a", "b"], "words": True}, resumable=True,
                on_sent=sent.append,
            )  # fmt: skip
    finally:
        proxy.close()
    assert proxy.cuts_left < 0
    assert (job.name, job.options["hotwords"], job.options["words"]) == (
        "talk.wav",
        ["a", "b"],
        True,
    )
    assert sent[-1] == len(data)
    digest = service.service.store.recording(job.recording_id).digest
    assert digest == hashlib.sha256(data).hexdigest()
    with Client(service.url, service.key("write", "read")) as client:
        again = client.submit(path, resumable=True, idempotency_key="k")
        assert client.submit(path, resumable=True, idempotency_key="k").id == again.id
        with pytest.raises(BodyInvalid):
            client.submit(path, options={"x": 1}, resumable=True)
    monkeypatch.setattr("lingting.client.client._RESUMED_S", 0.1)
    with (
        Client(f"http://127.0.0.1:{proxy.port}", "lk_x") as gone,
        pytest.raises(ServiceUnreachable),
    ):
        gone.submit(path, resumable=True)


def test_a_killed_submit_goes_on_where_it_was(
    service: Running, tmp_path: Path, small_parts: None
) -> None:
    """`lingting submit --resumable`, killed by -9 amid the file, then run again."""
    data = data_of(20_000_000)
    path = tmp_path / "long.wav"
    path.write_bytes(data)
    environment = {
        **os.environ, "LINGTING_SERVER": service.url, "LINGTING_SERVER_KEY": service.key(),
        "LINGTING_DATA_DIR": str(tmp_path / "elsewhere"),
    }  # fmt: skip
    command = [sys.executable, "-m", "lingting", "submit", str(path), "--resumable"]
    slow = SlowProxy(service.port, 4_000_000)
    process = subprocess.Popen(
        command, env={**environment, "LINGTING_SERVER": f"http://127.0.0.1:{slow.port}"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    rows = service.service.resumables.rows

    def has_begun() -> bool:
        listed = rows.listed(owner="admin")
        return bool(listed) and listed[0].received_bytes > 2_000_000

    wait_until(has_begun, 60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    slow.close()
    (before,) = rows.listed(owner="admin")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    after = rows.get(before.id, owner="admin")
    assert (after.state, after.job_id) == ("done", done.stdout.split("\t")[0])
    assert before.received_bytes > 0
    job = service.service.desk.job(after.job_id or "")
    assert service.service.store.recording(job.recording_id).digest == (
        hashlib.sha256(data).hexdigest()
    )
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert again.stdout == done.stdout
    assert len(service.service.desk.jobs()) == 1


class SlowProxy(CuttingProxy):
    """So many bytes a second."""

    def __init__(self, port: int, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        super().__init__(port, 0, 10)

    def _upward(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := near.recv(16_384):
                far.sendall(piece)
                time.sleep(len(piece) / self._bytes_per_s)
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)
        near.close()


# Other stores ----------------------------------------------------------------------------------


def test_parts_in_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_parts: None
) -> None:
    import asyncio

    with s3_server() as server:
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / "data"))
        from lingting.config import settings

        with (
            running(tmp_path / "data", blob_url=settings().blob_url) as service,
            service.client() as client,
        ):
            partials = service.service.resumables.partials
            data = data_of(1_000_000)
            key, place = service.key(), begun(client, len(data))
            cut_patch(
                service.port, key, f"/api/v1{place}", 0, data[:450_000], len(data), is_reset=False
            )
            wait_until(lambda: offset_of(client, place) == 450_000)
            assert len(list(partials.older_than(-60.0))) == 5
            assert files(service) == [], "parts are in the bucket alone"
            last = send(client, place, 450_000, data[450_000:])
            assert audio_of(client, last) == data
            assert list(partials.older_than(-60.0)) == []
            # A part that no row names, as a kill between the two leaves it.
            with partials.spool() as spool:
                spool.write(b"stray")
                partials.keep(spool)
            monkeypatch.setattr(resumable, "_STRAY_S", -60.0)
            asyncio.run(service.service.resumables.sweep())
            assert list(partials.older_than(-60.0)) == []


def test_on_postgres(tmp_path: Path, new_postgres: Callable[[], str], small_parts: None) -> None:
    with (
        running(tmp_path / "data", database_url=SecretStr(new_postgres())) as service,
        service.client() as client,
    ):
        data = data_of(1_000_000)
        key = service.key()
        place = begun(client, len(data), sha256=hashlib.sha256(data).hexdigest())
        offset = 0
        for size in (1, 250_000, 99_999):
            left = data[offset:]
            cut_patch(service.port, key, f"/api/v1{place}", offset, left[:size], len(left))
            offset = offset_of(client, place)
        last = send_rest(client, place, data)
        assert audio_of(client, last) == data
        assert files(service) == []
        import asyncio

        asyncio.run(service.service.resumables.sweep())
