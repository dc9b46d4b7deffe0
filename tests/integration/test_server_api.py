"""The API over real HTTP: pages, transcripts, exports, audio, errors, health."""

import contextlib
import io
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_parts import Running, head, raw, running, wait_until
from store_parts import plain_transcript, rich_transcript

from lingting.server.accounts import Accounts
from lingting.server.guard import HEADERS, Patience
from lingting.store import audit, work
from lingting.store.schema import JobGroupRow
from lingting.text.writers import FORMATS
from lingting.transcript import Transcript


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data") as found:
        yield found


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with service.client() as found:
        yield found


def noise(seed: str, size: int = 1_000) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - the same bytes in every run


def keep(service: Running, transcript: Transcript, name: str = "talk.mp3") -> str:
    audio = io.BytesIO(noise(name))
    return service.service.store.keep(audio, transcript, name=name, owner="admin").recording.id


def refusal(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) <= {"code", "message", "next_step", "incident"}
    return answer.status_code, error["code"]


# Transcripts -------------------------------------------------------------------------------------


def test_a_transcript_comes_back_equal(service: Running, client: httpx.Client) -> None:
    id = keep(service, rich_transcript())
    answer = client.get(f"/transcripts/{id}")
    found = answer.json()
    assert found.pop("revision") == 1
    assert Transcript.from_dict(found) == service.service.store.transcript(id)
    assert answer.headers["etag"] == f'"{id}-1"'
    page = client.get(f"/transcripts/{id}/segments").json()
    assert page["items"] == answer.json()["segments"]
    assert page["items"][0]["words"][0].keys() == {"text", "start_s", "end_s", "confidence"}


def test_a_long_transcript_streams_and_pages(service: Running, client: httpx.Client) -> None:
    id = keep(service, plain_transcript(5_000))
    with client.stream("GET", f"/transcripts/{id}") as answer:
        assert "content-length" not in answer.headers
        pieces = list(answer.iter_raw())
    assert len(json.loads(b"".join(pieces))["segments"]) == 5_000
    assert max(map(len, pieces)) < 200_000
    seen: list[dict[str, Any]] = []
    start: int | None = 0
    while start is not None:
        page = client.get(f"/transcripts/{id}/segments", params={"start": start, "limit": 700})
        found = page.json()
        assert (found["total"], found["revision"]) == (5_000, 1)
        seen += found["items"]
        start = found["next"]
    assert [one["start_s"] for one in seen] == [float(at) for at in range(5_000)]
    behind = client.get(f"/transcripts/{id}/segments", params={"start": 9_999}).json()
    assert (behind["items"], behind["next"]) == ([], None)
    assert refusal(client.get(f"/transcripts/{id}/segments?limit=100000"))[0] == 400


@pytest.mark.parametrize("positions", [[0, 299], list(range(0, 300, 3))], ids=["few", "many"])
def test_some_segments_are_corrected_and_the_others_stay(
    service: Running, client: httpx.Client, positions: list[int]
) -> None:
    whole = plain_transcript(300)
    id = keep(service, whole)
    wanted = [{"position": at, "text": f"改了 {at}", "speaker": "甲"} for at in positions]
    wanted += [{"position": positions[0], "speaker": None}]
    body = {"based_on": 1, "segments": wanted}
    assert client.patch(f"/transcripts/{id}", json=body).json() == {"revision": 2}
    found = service.service.store.transcript(id).segments
    for at, one in enumerate(whole.segments):
        if at not in positions:
            assert found[at] == one
        else:
            speaker = None if at == positions[0] else "甲"
            wished = replace(one, text=f"改了 {at}", edits=(), failure=None, speaker=speaker)
            assert found[at] == wished
    assert service.service.store.transcript(id, 1) == whole
    assert client.get(f"/recordings/{id}").json()["excerpt"].startswith("改了 0")
    hits = client.post("/search", json={"query": f"改了 {positions[-1]}"}).json()["items"]
    assert [hit["position"] for hit in hits[0]["hits"]] == [positions[-1]]
    answer = client.patch(f"/transcripts/{id}", json=body)
    assert refusal(answer) == (409, "store.revision_conflict")
    behind = {"based_on": 2, "segments": [{"position": 300, "text": "x"}]}
    assert refusal(client.patch(f"/transcripts/{id}", json=behind)) == (400, "option.invalid")


def test_correcting_and_restoring(service: Running, client: httpx.Client) -> None:
    id = keep(service, rich_transcript())
    read = client.get(f"/transcripts/{id}").json()
    read["segments"][2]["text"] = "改过"
    put = client.put(f"/transcripts/{id}", json={"based_on": 1, "transcript": read})
    assert put.json() == {"revision": 2}
    late = client.put(f"/transcripts/{id}", json={"based_on": 1, "transcript": read})
    assert refusal(late) == (409, "store.revision_conflict")
    body = {"based_on": 2, "segments": [{"position": 0, "text": "一", "speaker": "甲"}]}
    assert client.patch(f"/transcripts/{id}", json=body).json() == {"revision": 3}
    now = service.service.store.transcript(id)
    assert (now.segments[0].text, now.segments[0].speaker) == ("一", "甲")
    assert now.segments[0].edits == ()
    assert now.segments[0].words == rich_transcript().segments[0].words
    assert now.segments[2].text == "改过"
    wrong = {"based_on": 3, "segments": [{"position": 3, "text": "x"}]}
    assert refusal(client.patch(f"/transcripts/{id}", json=wrong)) == (400, "option.invalid")
    back = client.post(f"/transcripts/{id}/restore", json={"revision": 1})
    assert back.json() == {"revision": 4}
    listed = client.get(f"/transcripts/{id}/revisions").json()["items"]
    assert [(one["number"], one["origin"], one["author"]) for one in listed] == [
        (1, "machine", None), (2, "human", "admin"), (3, "human", "admin"), (4, "human", "admin"),
    ]  # fmt: skip
    assert service.service.store.transcript(id) == service.service.store.transcript(id, 1)
    assert refusal(client.get(f"/transcripts/{id}?revision=9"))[1] == "store.revision_not_found"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.update(based_on="1"),
        lambda body: body.pop("based_on"),
        lambda body: body.update(transcript=[]),
        lambda body: body["transcript"]["segments"][0].update(text=7),
        lambda body: body["transcript"]["segments"][0].update(start_s=9e9),
        lambda body: body["transcript"]["segments"][0].update(start_s=float("inf")),
        lambda body: body["transcript"].update(duration_s=float("nan")),
        lambda body: body["transcript"].update(model="x"),
        lambda body: body["transcript"]["segments"].append(None),
    ],
)
def test_a_transcript_that_is_none(service: Running, client: httpx.Client, spoil: Any) -> None:
    id = keep(service, rich_transcript())
    read = client.get(f"/transcripts/{id}").json()
    body: dict[str, Any] = {"based_on": 1, "transcript": read}
    spoil(body)
    answer = client.put(f"/transcripts/{id}", content=json.dumps(body))
    assert refusal(answer) == (400, "request.body_invalid")
    assert service.service.store.recording(id).revision == 1


@pytest.mark.parametrize("format", FORMATS)
def test_exports(service: Running, client: httpx.Client, format: str) -> None:
    from lingting.text.writers import write

    id = keep(service, rich_transcript(), '../"讲座"\n.mp3')
    answer = client.get(f"/exports/{id}/{format}", params={"words": True})
    kept = service.service.store.transcript(id)
    if format not in {"docx", "md"}:  # those have a title
        assert answer.content == write(kept, format, words=True)
    assert answer.headers["content-type"] == FORMATS[format].mime
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; filename=")
    assert f"{FORMATS[format].suffix}" in disposition
    assert "%0A" not in disposition
    assert refusal(client.get(f"/exports/{id}/exe")) == (400, "request.body_invalid")


def test_an_export_that_is_none_is_not_noted(service: Running, client: httpx.Client) -> None:
    id = keep(service, rich_transcript())
    assert refusal(client.get(f"/exports/{id}/txt?revision=9")) == (404, "store.revision_not_found")
    assert client.get("/audit", params={"object": id}).json()["items"] == []


def test_the_sweep_outlives_what_it_cannot_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[str] = []

    def refuses(self: object) -> int:
        turns.append("blobs")
        raise PermissionError

    async def swept(self: object) -> None:
        turns.append("uploads")

    monkeypatch.setattr("lingting.server.app._SWEEP_EVERY_S", 0.02)
    monkeypatch.setattr("lingting.store.blobs.FolderBlobs.remove_leftovers", refuses)
    monkeypatch.setattr("lingting.server.resumable.Resumables.sweep", swept)
    with running(tmp_path):
        wait_until(lambda: turns.count("blobs") > 2)
    assert turns.count("uploads") > 1


def test_many_exports_leave_the_others_their_threads(
    service: Running, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = keep(service, rich_transcript())
    store, go = service.service.store, threading.Event()
    read = store.transcript

    def slowly(id: str, revision: int | None = None) -> Transcript:
        assert go.wait(30)
        return read(id, revision)

    monkeypatch.setattr(store, "transcript", slowly)
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(client.get, f"/exports/{id}/txt") for _ in range(12)]
        try:
            time.sleep(0.5)
            assert client.get("/recordings", timeout=10).status_code == 200
        finally:
            go.set()
        assert {one.result().status_code for one in asked} == {200}


def test_a_recording_without_a_transcript_yet(service: Running, client: httpx.Client) -> None:
    answer = client.post("/recordings", files={"file": ("a.wav", b"abc")})
    id = answer.json()["items"][0]["job"]["recording_id"]
    for path in (f"/transcripts/{id}", f"/exports/{id}/txt", f"/transcripts/{id}/segments"):
        assert refusal(client.get(path)) == (404, "store.revision_not_found")
    assert client.get(f"/transcripts/{id}/revisions").json() == {"items": []}
    again = client.post(f"/recordings/{id}/jobs", json={"options": {"language": "en"}})
    assert again.status_code == 202
    assert again.json()["options"]["language"] == "en"
    unknown = client.post(f"/recordings/{id}/jobs", json={"options": {"langage": "en"}})
    assert refusal(unknown) == (400, "option.unknown")
    odd = client.post(f"/recordings/{id}/jobs", json={"options": {"words": "yes"}})
    assert refusal(odd) == (400, "option.invalid")


# The history -------------------------------------------------------------------------------------


def test_pages_of_the_history(service: Running, client: httpx.Client) -> None:
    ids = [keep(service, plain_transcript(1), f"{at}.wav") for at in range(7)]
    seen: list[str] = []
    after: str | None = None
    while True:
        asked = {"limit": 3} | ({"after": after} if after else {})
        page = client.get("/recordings", params=asked).json()
        seen += [one["id"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == ids[::-1]
    for wrong in ("x", "bm90IGEgcGxhY2U", "%00", "MjAyNi0xMS0yMXxhYmM"):
        assert refusal(client.get(f"/recordings?after={wrong}")) == (400, "option.invalid")
    for limit in (0, 501, "x"):
        assert refusal(client.get(f"/recordings?limit={limit}"))[0] == 400


def test_deleting_undoing_purging(service: Running, client: httpx.Client) -> None:
    id = keep(service, plain_transcript(1))
    digest = service.service.store.recording(id).digest
    assert refusal(client.post(f"/recordings/{id}/purge")) == (400, "option.invalid")
    assert client.delete(f"/recordings/{id}").json()["deleted_at"] is not None
    assert client.get("/recordings").json()["items"] == []
    assert len(client.get("/recordings?deleted=true").json()["items"]) == 1
    assert client.post(f"/recordings/{id}/undo").json()["deleted_at"] is None
    client.delete(f"/recordings/{id}")
    receipt = client.post(f"/recordings/{id}/purge").json()
    assert (receipt["audio"], receipt["author"], receipt["digest"]) == ("removed", "admin", digest)
    assert refusal(client.get(f"/recordings/{id}")) == (404, "store.recording_not_found")
    assert service.blobs() == []


def test_tags(service: Running, client: httpx.Client) -> None:
    id = keep(service, plain_transcript(1))
    tagged = client.post(f"/recordings/{id}/tags", json={"add": ["讲座", "x"], "remove": ["y"]})
    assert tagged.json()["tags"] == ["x", "讲座"]
    assert len(client.get("/recordings", params={"tag": "讲座"}).json()["items"]) == 1


# Audio -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        (None, 200, 0, 1_000), ("bytes=0-", 206, 0, 1_000), ("bytes=10-19", 206, 10, 20),
        ("bytes=990-5000", 206, 990, 1_000), ("bytes=-5", 206, 995, 1_000),
        ("bytes=-5000", 206, 0, 1_000), ("bytes=999-999", 206, 999, 1_000),
        ("bytes=0-1,5-6", 200, 0, 1_000), ("items=0-1", 200, 0, 1_000), ("bytes=x", 200, 0, 1_000),
        ("bytes=20-10", 200, 0, 1_000), ("bytes=-", 200, 0, 1_000),
    ],
)  # fmt: skip
def test_parts_of_the_audio(
    service: Running, client: httpx.Client, asked: str | None, status: int, start: int, end: int
) -> None:
    id = keep(service, plain_transcript(1))
    whole = noise("talk.mp3")
    headers = {} if asked is None else {"Range": asked}
    answer = client.get(f"/recordings/{id}/audio", headers=headers)
    assert (answer.status_code, answer.content) == (status, whole[start:end])
    assert answer.headers["content-type"] == "audio/mpeg"
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1000"
    told = client.head(f"/recordings/{id}/audio", headers=headers)
    assert (told.status_code, told.content) == (status, b"")
    assert told.headers["content-length"] == str(end - start)


def test_audio_that_is_known_already(service: Running, client: httpx.Client) -> None:
    path = f"/recordings/{keep(service, plain_transcript(1))}/audio"
    etag = client.get(path).headers["etag"]
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    stale = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert client.get(path, headers=stale).status_code == 200
    outside = client.get(path, headers={"Range": "bytes=1000-"})
    assert refusal(outside) == (416, "request.range_invalid")


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.js", "x", "x.mp3.html", "x.xhtml", "x.gz"])
def test_nothing_is_served_that_a_browser_would_run(
    service: Running, client: httpx.Client, name: str
) -> None:
    id = keep(service, plain_transcript(1), name)
    answer = client.get(f"/recordings/{id}/audio")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_client_that_does_not_read_is_let_go(tmp_path: Path) -> None:
    size = 40 << 20
    with running(tmp_path / "other", patience=Patience(reading_s=1.0)) as service:
        audio, said = io.BytesIO(bytes(size)), plain_transcript(1)
        id = service.service.store.keep(audio, said, name="x", owner="admin").recording.id
        path = f"/api/v1/recordings/{id}/audio"
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(head(service.key(), path=path, method="GET"))
            time.sleep(4.0)
            received = 0
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(1 << 20):
                    received += len(piece)
        assert 0 < received < size
        with service.client() as client:  # others were served meanwhile, and are now
            assert len(client.get(f"/recordings/{id}/audio").content) == size


def test_many_who_verify_the_trail_do_not_keep_the_others_out(
    service: Running, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each held one of the threads of all routes while it waited for its turn."""
    begun, go, real = threading.Event(), threading.Event(), audit.verify

    def slowly(*arguments: Any) -> Any:
        begun.set()
        assert go.wait(30)
        return real(*arguments)

    monkeypatch.setattr("lingting.store.audit.verify", slowly)
    with service.client() as admin, ThreadPoolExecutor(10) as pool:
        asked = [pool.submit(admin.get, "/audit/verify") for _ in range(10)]
        try:
            assert begun.wait(10)
            time.sleep(0.2)  # the others are there by now
            assert client.get("/recordings", timeout=5).status_code == 200
        finally:
            go.set()
        assert all(one.result().json()["is_whole"] for one in asked)


# Jobs --------------------------------------------------------------------------------------------


def test_what_a_job_has_heard_so_far(service: Running, client: httpx.Client) -> None:
    store = service.service.store
    form = client.post("/recordings", files={"file": ("talk.mp3", noise("heard"))})
    id = form.json()["items"][0]["job"]["id"]
    path = f"/jobs/{id}/segments"
    assert client.get(path).json() == {"revision": 0, "total": 0, "items": [], "next": None}
    rows = plain_transcript(4).as_dict()["segments"]
    with store.database.write() as session:
        (claim,) = work.claim(session, "w1", 1)
    for number in range(2):
        with store.database.write() as session:
            work.save_group(
                session, id, claim.epoch, number=number, clips=1, end_s=2.0 + number,
                total_s=4.0, segments=rows[2 * number : 2 * number + 2], state={},
            )  # fmt: skip
    page = client.get(path, params={"start": 1, "limit": 2}).json()
    assert (page["revision"], page["total"], page["next"]) == (0, 4, 3)
    assert page["items"] == json.loads(json.dumps(rows[1:3]))
    with store.database.write() as session:
        work.finish(session, id, claim.epoch, plain_transcript(4), None)
    assert client.get(path).json()["total"] == 0
    assert refusal(client.get("/jobs/x/segments")) == (404, "job.not_found")


def test_who_moved_on_hears_no_more_of_a_recording(service: Running) -> None:
    """The job stays theirs, as do jobs of batches; what was said is the department's."""
    store, accounts = service.service.store, Accounts(service.service.store)
    for name in ("old", "new"):
        accounts.add_department(name)
    accounts.add_user("boss", role="manager", department="old")
    audio, said = io.BytesIO(noise("moved")), plain_transcript(1)
    id = store.keep(audio, said, name="x", owner="anna", department="old").recording.id
    with service.client("read", "write", user="boss") as boss:
        job = boss.post(f"/recordings/{id}/jobs", json={}).json()["id"]
        with store.database.write() as session:
            session.add(
                JobGroupRow(
                    job_id=job, number=0, epoch=0, clips=1, end_s=2.0, state={},
                    segments=said.as_dict()["segments"], written_at=datetime.now(UTC),
                )
            )  # fmt: skip
        assert boss.get(f"/jobs/{job}/segments").json()["total"] == 1
        accounts.change_user("boss", department="new")
        service.service.access._remembered.clear()
        assert boss.get(f"/jobs/{job}").status_code == 200
        assert refusal(boss.get(f"/jobs/{job}/segments")) == (404, "store.recording_not_found")
    service.service.desk.cancel(job)


def test_jobs_and_batches(client: httpx.Client) -> None:
    batch = client.post("/batches", json={"name": "讲座", "priority": "low"}).json()
    for at in range(3):
        client.post(
            "/recordings", data={"batch": batch["id"]}, files={"file": (f"{at}", b"%d" % at)}
        )
    first = client.get("/jobs", params={"limit": 2, "batch": batch["id"]}).json()
    rest = client.get("/jobs", params={"limit": 2, "after": first["next"]}).json()
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (2, 1, None)
    id = rest["items"][0]["id"]
    for action, state in (
        ("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued"),
    ):  # fmt: skip
        assert client.post(f"/jobs/{id}/{action}").json()["state"] == state
    assert client.post(f"/batches/{batch['id']}/cancel").json()["counts"] == {"cancelled": 3}
    assert client.get("/jobs?state=cancelled&limit=500").json()["next"] is None
    assert refusal(client.post(f"/jobs/{id}/explode")) == (400, "request.body_invalid")
    assert refusal(client.get("/jobs?state=odd"))[0] == 400
    assert refusal(client.get("/jobs/x")) == (404, "job.not_found")
    assert refusal(client.post("/jobs/x/pause")) == (404, "job.not_found")
    key = {"Idempotency-Key": "b"}
    one = client.post("/batches", json={"name": "x"}, headers=key).json()
    assert client.post("/batches", json={"name": "x"}, headers=key).json() == one


# Errors and bounds -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400), (b"[" * 100_000, 400), (b'{"name":' * 900 + b"1" + b"}" * 900, 400),
        (b'{"name": "x"' + b" " * (1 << 20) + b"}", 413), (b"\xff\xfe", 400), (b"null", 400),
        (b'{"name": ' + b"9" * 10_000 + b"}", 400), (b'{"name": "x", "nmae": 1}', 400),
        (b'{"name": ""}', 400), (b'{"name": NaN}', 400), (b"", 400),
    ],
)  # fmt: skip
def test_json_that_is_refused(client: httpx.Client, content: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/batches", content=content, headers=headers)
    assert refusal(answer)[0] == status, answer.text
    assert len(answer.content) < 1_000


def test_unknown_paths_and_methods(service: Running, client: httpx.Client) -> None:
    assert refusal(client.get("/nothing")) == (404, "request.path_unknown")
    assert refusal(client.put("/jobs")) == (405, "request.method_unknown")
    assert refusal(httpx.get(service.url + "/docs")) == (404, "request.path_unknown")
    for path in ("/api/v1/../../etc/passwd", "/api/v1/recordings/..%2f..%2fetc", "/%00", "//x"):
        answer = raw(
            service.port, head(service.key(), "Connection: close", path=path, method="GET")
        )
        assert answer.startswith(b"HTTP/1.1 404"), (path, answer[:100])


def test_every_answer_has_the_headers_that_protect(service: Running, client: httpx.Client) -> None:
    for answer in (
        client.get("/jobs"), client.get("/nothing"), httpx.get(service.url + "/login"),
        httpx.get(service.url + "/healthz"), client.post("/batches", content=b"{"),
    ):  # fmt: skip
        for name, value in HEADERS:
            assert answer.headers[name.decode()] == value.decode()
        assert answer.headers["cache-control"] == "no-store"


def test_a_fault_shows_an_incident_and_nothing_else(
    service: Running, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    id = keep(service, plain_transcript(1))
    digest = service.service.store.recording(id).digest
    service.service.store.blobs.remove(digest)
    answer = client.get(f"/recordings/{id}/audio")
    assert refusal(answer) == (500, "store.damaged")
    incident = answer.json()["error"]["incident"]
    assert incident in answer.json()["error"]["message"]
    assert any(getattr(record, "incident", None) == incident for record in caplog.records)


def test_what_nobody_foresaw_does_not_quote(
    service: Running,
    client: httpx.Client,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def burst(*_: object, **__: object) -> None:
        raise ValueError("quincunx said by somebody")

    monkeypatch.setattr(service.service.desk, "jobs", burst)
    answer = client.get("/jobs")
    assert refusal(answer) == (500, "fault.unknown")
    assert "quincunx" not in answer.text + caplog.text
    incident = answer.json()["error"]["incident"]
    (record,) = [one for one in caplog.records if getattr(one, "incident", None) == incident]
    assert record.error == "ValueError"
    assert record.at[-1].startswith("test_server_api.py:")


def test_names_words_and_hotwords_stay_out_of_the_logs(
    service: Running, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    form = {"hotwords": "brumbleweft", "prompt": "ostrakinda", "name": "zyxgespräch.mp3"}
    client.post("/recordings", data=form, files={"file": ("x", b"abc")})
    client.post("/recordings", data={**form, "beam_size": "99"}, files={"file": ("x", b"abc")})
    client.post("/recordings", data={**form, "x": "1"}, files={"file": ("x", b"")})
    client.get("/recordings?tag=quincunx")
    told = "".join(
        record.getMessage() + str(vars(record))
        for record in caplog.records
        if not record.name.startswith("httpx")  # the client's own
    )
    assert "'route': '/api/v1/recordings'" in told
    for secret in ("brumbleweft", "ostrakinda", "zyxgespräch", "quincunx"):
        assert secret not in told


# Health ------------------------------------------------------------------------------------------


def test_ready_tells_what_is_missing(service: Running, client: httpx.Client) -> None:
    answer = httpx.get(service.url + "/readyz")
    assert answer.status_code == 503
    parts = answer.json()["parts"]
    assert {name: part["is_ready"] for name, part in parts.items()} == {
        "database": True, "blobs": True, "worker": False, "engine": False,
    }  # fmt: skip
    assert (parts["worker"]["reason"], parts["engine"]["reason"]) == (
        "worker.none", "engine.unreachable",
    )  # fmt: skip
    status = client.get("/status").json()
    assert status["parts"] == parts
    assert status["engines"] == [{"address": "unix", "is_answering": False}]


def test_a_database_that_is_away_does_not_keep_the_web_from_starting(tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:9/none"
    program = (
        "import sys, httpx; from fastapi.testclient import TestClient\n"
        "from lingting.config import settings; from lingting.server.app import create_app\n"
        f"app = create_app(settings(data_dir={str(tmp_path)!r}, database_url={url!r}))\n"
        "with TestClient(app) as client:\n"
        "    print(client.get('/healthz').status_code, client.get('/readyz').json()['parts'])\n"
        "    print(client.get('/api/v1/jobs', headers={'Authorization': 'Bearer lk_0000000000_'"
        " + 'A' * 43}).status_code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("200")
    assert "store.unreachable" in first
    assert second == "500"


HEAVY = ("torch", "ctranslate2", "onnxruntime", "av", "dbos", "faster_whisper", "transformers")


def test_the_web_process_loads_no_engine_and_no_decoder(tmp_path: Path) -> None:
    """Not at import, not at start, and not after it was used."""
    program = (
        "import sys, httpx; sys.path.insert(0, 'tests/integration')\n"
        "from pathlib import Path; import server_parts, io\n"
        "from lingting.transcript import Transcript, Segment\n"
        f"with server_parts.running(Path({str(tmp_path / 'data')!r})) as service:\n"
        "    with service.client() as client:\n"
        "        sent = client.post('/recordings', files={'file': ('a.wav', b'abc')},"
        " data={'language': 'zh'})\n"
        "        assert sent.status_code == 202, sent.text\n"
        "        one = Transcript((Segment(0.0, 1.0, '你好', '你好'),), 1.0)\n"
        "        id = service.service.store.keep(io.BytesIO(b'x'), one, name='x').recording.id\n"
        "        for path in ('jobs', 'recordings', f'transcripts/{id}', f'exports/{id}/docx',"
        " f'exports/{id}/srt', 'status', f'recordings/{id}/audio', 'openapi.json'):\n"
        "            assert client.get('/' + path).status_code == 200, path\n"
        "names = {name.split('.')[0] for name in sys.modules}\n"
        f"print(sorted(names & set({HEAVY!r})), 'sqlalchemy' in names)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[] True"


def test_health_answers_at_once_under_load(service: Running) -> None:
    """Uploads, pages and a write lock on the database: the 95th percentile stays small."""
    id = keep(service, plain_transcript(2_000))
    ended = threading.Event()
    content = noise("load", 2 << 20)

    def load(number: int) -> None:
        with service.client() as client:
            while not ended.is_set():
                if number % 2:
                    client.post("/recordings", files={"file": (f"{number}.wav", content)})
                else:
                    client.get(f"/transcripts/{id}")

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    took_s: list[float] = []
    try:
        with httpx.Client() as client:
            for _ in range(60):
                began_s = time.perf_counter()
                assert client.get(service.url + "/healthz").status_code == 200
                took_s.append(time.perf_counter() - began_s)
                time.sleep(0.02)
            with service.service.store.database.write():  # nobody else can write
                began_s = time.perf_counter()
                assert client.get(service.url + "/healthz").status_code == 200
                assert time.perf_counter() - began_s < 3.0
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
    # One process here is server, clients and test; alone the service is far quicker.
    assert sorted(took_s)[len(took_s) * 95 // 100] < 0.5
