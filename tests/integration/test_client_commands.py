"""``lingting.Client`` and the commands on it, against a service over real HTTP."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_parts import Running, running, wait_until
from store_parts import plain_transcript, rich_transcript

import lingting
from lingting.client import Client
from lingting.errors import (
    AudioEmpty,
    AudioNotFound,
    AudioPathUnreadable,
    BatchNotFound,
    BodyInvalid,
    JobNotFound,
    NotAllowed,
    OptionInvalid,
    RecordingNotFound,
    RequestConflict,
    RevisionConflict,
    ServiceUnreachable,
    SignInNeeded,
)
from lingting.text.writers import write
from lingting.transcript import Transcript


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data") as found:
        yield found


@pytest.fixture
def client(service: Running) -> Iterator[Client]:
    with Client(service.url, service.key()) as found:
        yield found


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "讲座 \n.mp3"
    path.write_bytes(b"sound" * 100)
    return path


class Run:
    """``lingting …`` in a process of its own."""

    def __init__(self, service: Running, tmp_path: Path) -> None:
        self._environment = {
            **os.environ, "LINGTING_SERVER": service.url, "LINGTING_SERVER_KEY": service.key(),
            "LINGTING_DATA_DIR": str(tmp_path / "elsewhere"),
        }  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "lingting", *words], env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture
def run(service: Running, tmp_path: Path) -> Run:
    return Run(service, tmp_path)


def finish(service: Running, job_id: str, said: Transcript | None = None) -> None:
    """What a worker does: a transcript, and the job is done."""
    from lingting.store import events
    from lingting.store.schema import JobRow

    store = service.service.store
    job = service.service.desk.job(job_id)
    found = store.recording(job.recording_id)
    with store.blobs.open(found.digest) as stream:
        store.keep(stream, said or rich_transcript(), name=found.name, owner=found.owner)
    with store.database.write() as session:
        row = session.get_one(JobRow, job_id)
        row.state, row.done_s, row.total_s, row.revision = "done", 6.25, 6.25, 1
        events.of_job(session, row, "job.done")


# The client --------------------------------------------------------------------------------------


def test_from_a_file_to_its_transcript(service: Running, client: Client, audio: Path) -> None:
    assert lingting.Client is Client
    sent: list[int] = []
    options = {"language": "zh", "words": True, "hotwords": ["退款", "工单"], "prompt": "客服"}
    job = client.submit(audio, options=options, on_sent=sent.append, priority="high")
    assert (job.name, job.state, job.priority) == (audio.name, "queued", "high")
    assert job.options["hotwords"] == ["退款", "工单"]
    assert job == service.service.desk.job(job.id)
    assert sent[-1] == 500
    timer = threading.Timer(0.5, finish, (service, job.id))
    timer.start()
    assert client.wait(job.id).state == "done"
    timer.join()
    id = job.recording_id
    assert client.transcript(id) == rich_transcript()
    assert client.export(id, "srt") == write(rich_transcript(), "srt", title="讲座 ")
    assert client.recording(id) == service.service.store.recording(id)
    assert client.recordings().items == (client.recording(id),)
    assert client.correct(id, client.transcript(id), based_on=1) == 2
    with pytest.raises(RevisionConflict):
        client.correct(id, client.transcript(id), based_on=1)
    assert client.transcribe_again(id, {"language": "en"}).recording_id == id
    assert client.delete(id).deleted_at is not None
    assert client.undo(id).deleted_at is None
    client.delete(id)
    assert client.purge(id).audio == "removed"


def test_jobs_batches_and_keys(service: Running, client: Client, audio: Path) -> None:
    batch = client.open_batch("讲座", idempotency_key="b")
    assert client.open_batch("讲座", idempotency_key="b") == batch
    job = client.submit(audio, batch_id=batch.id, idempotency_key="k")
    assert client.submitted("k") == client.job(job.id) == client.jobs(batch_id=batch.id)[0]
    assert client.submitted("other") is None
    assert client.change(job.id, "cancel").state == "cancelled"
    assert client.change_batch(batch.id, "retry").counts == {"queued": 1}
    assert client.batches() == [client.batch(batch.id)]
    assert client.status()["jobs"] == {"queued": 1}
    for refused, error in (
        (lambda: client.job("x"), JobNotFound),
        (lambda: client.batch("../x?y#z"), BatchNotFound),
        (lambda: client.submit(audio, options={"script": "x"}), OptionInvalid),
        (lambda: client.submit(audio, idempotency_key="k"), RequestConflict),
        (lambda: client.submit(audio.with_name("none")), AudioNotFound),
        (lambda: client.submit(audio.parent), AudioPathUnreadable),
    ):
        with pytest.raises(error):
            refused()
    empty = audio.with_name("empty.wav")
    empty.touch()
    with pytest.raises(AudioEmpty):
        client.submit(empty)


def test_who_is_not_let_in(service: Running) -> None:
    with Client(service.url, "lk_0000000000_" + "A" * 43) as client, pytest.raises(SignInNeeded):
        client.jobs()
    with Client(service.url, service.key("read")) as client, pytest.raises(NotAllowed):
        client.open_batch("x")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x", "nonsense", "http://", "http://user:pw@host:1", "http://[", "http://host:port",
        "http://host\x01",
    ],
)  # fmt: skip
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(OptionInvalid):
        Client(url, "x")


def test_the_service_of_this_data_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lingting.config import settings
    from lingting.server import place

    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path))
    assert Client().url == "http://127.0.0.1:7860"
    with place.only_one(settings()):
        place.write_state(settings(), {"pid": 1, "url": "http://127.0.0.1:8080"})
        assert Client().url == "http://127.0.0.1:8080"
        monkeypatch.setenv("LINGTING_SERVER", "http://127.0.0.1:9090/")
        assert Client().url == "http://127.0.0.1:9090"
        assert Client("http://127.0.0.1:1/api/v1").url == "http://127.0.0.1:1"


def test_who_does_not_answer(service: Running) -> None:
    with Client("http://127.0.0.1:9", "x") as client, pytest.raises(ServiceUnreachable):
        client.jobs()
    # Something else answers there.
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>"))
    with Client(service.url, "x", transport=transport) as client, pytest.raises(ServiceUnreachable):
        client.jobs()
    transport = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))
    with Client(service.url, "x", transport=transport) as client, pytest.raises(ServiceUnreachable):
        client.jobs()


def test_events_go_on_behind_a_break(service: Running, client: Client, audio: Path) -> None:
    events = client.events()
    assert next(events) is None
    first = client.submit(audio)
    with Client(service.url, service.key()) as other:
        got = next(events)
        assert got is not None
        assert got.job_id == first.id
        service.service.broker.end()  # the stream ends; meanwhile something happens
        other.change(first.id, "cancel")
        assert next(events) is None, "connected again"
        got = next(events)
        assert got is not None
        assert (got.kind, got.job_id) == ("job.cancelled", first.id)


def test_a_question_that_fails_once_does_not_end_the_wait(service: Running, audio: Path) -> None:
    class Flaky(httpx.HTTPTransport):
        asked = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            self.asked += request.method == "GET" and "/jobs/" in request.url.path
            if self.asked == 2:
                raise httpx.ConnectError("away", request=request)
            return super().handle_request(request)

    flaky = Flaky()
    with Client(service.url, service.key(), transport=flaky) as client:
        job = client.submit(audio)
        timer = threading.Timer(0.5, finish, (service, job.id))
        timer.start()
        assert client.wait(job.id).state == "done"
        timer.join()
    assert flaky.asked > 2


def test_a_long_silence_does_not_use_up_the_patience() -> None:
    answers = [True, False, True]

    def answer(request: httpx.Request) -> httpx.Response:
        if not answers.pop(0):
            raise httpx.ConnectError("away", request=request)
        return httpx.Response(200, text=": here\n\n")

    with Client("http://127.0.0.1:9", "x", transport=httpx.MockTransport(answer)) as client:
        events = client.events(patience_s=0.5)
        assert next(events) is None
        time.sleep(0.6)  # nothing happens for longer than the service may be away
        assert next(events) is None, "connected again"


# The commands ------------------------------------------------------------------------------------


def test_submitting_a_folder_twice_sends_nothing_twice(
    service: Running, run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "lectures"
    for at, name in enumerate(("a.wav", "deep/a.wav", "deep/b.mp3", "same as a.wav", "notes.txt")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"same" if "same" in name or name == "a.wav" else b"%d" % at)
    first = run("submit", str(folder), "--batch", "lectures", "--language", "zh", "--json")
    assert first.returncode == 0, first.stderr
    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert sorted(row["job"]["name"] for row in rows) == [
        "a.wav", "deep/a.wav", "deep/b.mp3", "same as a.wav",
    ]  # fmt: skip
    assert all(row["is_new"] for row in rows)
    again = run("submit", str(folder), "--batch", "lectures", "--language", "zh", "--json")
    repeated = [json.loads(line) for line in again.stdout.splitlines()]
    assert [row["job"]["id"] for row in repeated] == [row["job"]["id"] for row in rows]
    assert not any(row["is_new"] for row in repeated)
    assert len(service.service.desk.jobs()) == 4
    forced = run("submit", str(folder / "a.wav"), "--force")
    assert forced.returncode == 0
    assert len(service.service.desk.jobs()) == 5


def test_one_bad_file_does_not_keep_the_others_back(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.wav").write_bytes(b"x")
    (tmp_path / "empty.wav").touch()
    os.mkfifo(tmp_path / "pipe.wav")
    names = ("good.wav", "empty.wav", "missing.wav", "pipe.wav")
    done = run("submit", *(str(tmp_path / name) for name in names))
    assert done.returncode == 3
    assert done.stdout.count("\n") == 1
    assert "audio.empty" in done.stderr
    assert "missing.wav: error: Nothing is at this path." in done.stderr
    assert "pipe.wav: error: The path is a pipe" in done.stderr
    assert run("submit", str(tmp_path / "empty.wav")).returncode == 2
    assert run("submit", str(tmp_path / "good.wav"), "--language", "qqq").returncode == 2


def test_a_stopped_submit_goes_on(service: Running, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for at in range(40):
        (folder / f"{at:02}.wav").write_bytes(os.urandom(400_000))
    process = run.start("submit", str(folder))
    wait_until(lambda: len(service.service.desk.jobs()) >= 3, 30)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    before = {job.id for job in service.service.desk.jobs(limit=100)}
    assert 3 <= len(before) < 40
    wait_until(lambda: not service.incoming())
    done = run("submit", str(folder), "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["job"]["id"] for row in rows if not row["is_new"]} >= before
    assert len(service.service.desk.jobs(limit=100)) == 40


def test_watching_jobs_and_batches(service: Running, run: Run, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(name.encode())
    files = [str(tmp_path / name) for name in ("a.wav", "b.wav")]
    process = run.start("submit", *files, "--batch", "x", "--watch", "--json")
    wait_until(lambda: len(service.service.desk.jobs()) == 2, 30)
    time.sleep(1.0)
    for job in service.service.desk.jobs():
        finish(service, job.id)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    kinds = [json.loads(line) for line in out.splitlines()]
    assert kinds[-1]["batch"]["counts"] == {"done": 2}
    id = kinds[-1]["batch"]["id"]
    assert run("watch", id).returncode == 0
    (tmp_path / "c.wav").write_bytes(b"c")
    job_id = run("submit", str(tmp_path / "c.wav")).stdout.split("\t")[0]
    watching = run.start("watch", job_id)
    time.sleep(1.5)
    assert run("jobs", "cancel", job_id).returncode == 0
    out, err = watching.communicate(timeout=30)
    assert watching.returncode == 3
    assert "cancelled" in err
    assert run("watch", "x" * 12).returncode == 2


def test_listing_and_changing(service: Running, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"a")
    submitted = run("submit", str(tmp_path / "a.wav"), "--batch", "讲座")
    job_id, state, _ = submitted.stdout.rstrip("\n").split("\t")
    assert state == "queued"
    listed = run("jobs", "list", "--json")
    (row,) = [json.loads(line) for line in listed.stdout.splitlines()]
    assert (row["id"], row["name"]) == (job_id, "a.wav")
    assert job_id in run("jobs", "list", "--state", "queued").stdout
    assert run("jobs", "list", "--state", "odd").returncode == 2
    batch = json.loads(run("jobs", "list", "--batches", "--json").stdout)
    shown = json.loads(run("jobs", "show", batch["id"], "--json").stdout)
    assert shown["name"] == "讲座"
    assert job_id in run("jobs", "show", job_id).stdout
    for action, expected in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        done = run("jobs", action, job_id, batch["id"] if action == "pause" else job_id)
        assert done.returncode == 0, done.stderr
        assert service.service.desk.job(job_id).state == expected
    assert run("jobs", "retry", job_id, "nothing").returncode == 3
    assert run("jobs", "retry", "nothing").returncode == 2


def test_as_many_batches_are_listed_as_are_wanted(service: Running, run: Run) -> None:
    for at in range(205):
        service.service.desk.open_batch(str(at), owner="admin")
    listed = run("jobs", "list", "--batches", "--limit", "203", "--json").stdout.splitlines()
    assert [json.loads(line)["name"] for line in listed] == [str(at) for at in range(204, 1, -1)]
    assert run("jobs", "list", "--batches", "--state", "failed").returncode == 2


def test_without_a_service(tmp_path: Path) -> None:
    environment = {**os.environ, "LINGTING_DATA_DIR": str(tmp_path), "LINGTING_PORT": "9"}
    environment["LINGTING_SERVER"] = "http://127.0.0.1:9"

    def run(*words: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "lingting", *words], env=environment, capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip

    for words in (("jobs", "list"), ("watch", "x"), ("submit", __file__)):
        done = run(*words)
        assert done.returncode == 1
        assert "lingting serve" in done.stderr
    assert run("stop").returncode == 2
    status = run("status", "--json")
    assert status.returncode == 1
    assert json.loads(status.stdout)["is_running"] is False


def test_keys_by_command(service: Running, tmp_path: Path) -> None:
    environment = {**os.environ, "LINGTING_DATA_DIR": str(service.folder)}

    def run(*words: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "lingting", "key", *words], env=environment,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    secret = run("new", "room", "--scope", "read", "--user", "room-3").stdout.strip()
    with Client(service.url, secret) as client:
        assert client.jobs() == []
    (row,) = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert (row["name"], row["user"], row["scopes"]) == ("room", "room-3", ["read"])
    assert run("revoke", row["id"]).returncode == 0
    assert run("revoke", row["id"]).returncode == 2
    link = run("link").stdout.strip()
    token = link.split("token=")[1]
    assert service.service.access.check_link(token) == "admin"
    assert run("link", "--user", "nobody").returncode == 2


def test_links_lead_to_where_the_service_listens(tmp_path: Path) -> None:
    from lingting.config import settings
    from lingting.server import place

    now = settings(data_dir=tmp_path)
    environment = {**os.environ, "LINGTING_DATA_DIR": str(tmp_path)}
    with place.only_one(now):
        place.write_state(now, {"pid": 1, "url": "http://127.0.0.1:8080"})
        for words in (("key", "link"), ("user", "add", "wang")):
            done = subprocess.run(
                [sys.executable, "-m", "lingting", *words], env=environment,
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert done.stdout.startswith("http://127.0.0.1:8080/setup?token="), done.stderr


# Many at once ------------------------------------------------------------------------------------


def finished_batch(service: Running, client: Client, tmp_path: Path) -> tuple[str, list[str]]:
    """Two recordings of one name with texts, one that waits; the second begins as a formula."""
    from lingting.jobs import JobOptions

    batch = client.open_batch("calls").id
    ids = []
    for number, said in enumerate(("第一句。", "=1+1", None)):
        path = tmp_path / f"{number}.wav"
        path.write_bytes(b"sound" * (10 + number))
        job = client.submit(path, name="../call.wav", batch_id=batch)
        ids.append(job.recording_id)
        if said is not None:
            finish(service, job.id, plain_transcript(1, said))
    assert JobOptions().as_dict() == dict(client.jobs(batch_id=batch)[0].options)
    return batch, ids


def test_a_table_of_a_batch(service: Running, client: Client, run: Run, tmp_path: Path) -> None:
    batch, ids = finished_batch(service, client, tmp_path)
    done = run("jobs", "export", batch, "-o", str(tmp_path / "calls.csv"))
    assert done.returncode == 0, done.stderr
    with (tmp_path / "calls.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["recording_id"] for row in rows] == ids
    assert [row["state"] for row in rows] == ["done", "done", "queued"]
    assert [row["text"] for row in rows] == ["第一句。", "'=1+1", ""]
    file_ = io.BytesIO()
    client.batch_table(file_, batch, "json")
    assert [row["text"] for row in json.loads(file_.getvalue())] == ["第一句。", "=1+1", None]
    wrong = run("jobs", "export", batch, "-o", str(tmp_path / "calls.txt"))
    assert wrong.returncode == 2
    assert not (tmp_path / "calls.txt").exists()
    gone = run("jobs", "export", "zzzzzzzzzzzz", "-o", str(tmp_path / "gone.zip"))
    assert gone.returncode == 2
    assert not list(tmp_path.glob("*gone*"))


def test_a_zip_of_many(service: Running, client: Client, run: Run, tmp_path: Path) -> None:
    batch, ids = finished_batch(service, client, tmp_path)
    target = tmp_path / "calls.zip"
    assert run("jobs", "export", batch, "-o", str(target), "-f", "txt,srt").returncode == 0
    with zipfile.ZipFile(target) as archive:
        second = f"call.{ids[1]}"
        assert sorted(archive.namelist()) == sorted(
            ["call.txt", "call.srt", f"{second}.txt", f"{second}.srt", "index.csv"]
        )
        assert archive.read("call.txt").decode() == "第一句。\n"
        assert archive.read("index.csv").count(b"\r\n") == 4
    chosen = io.BytesIO()
    client.export_many(chosen, ("md",), recordings=[ids[1]])
    with zipfile.ZipFile(chosen) as archive:
        assert sorted(archive.namelist()) == ["call.md", "index.csv"]
    rows = client.admin.audit(limit=50).items
    assert [row.action for row in rows].count("transcript.exported") == 3
    with pytest.raises(RecordingNotFound):
        client.export_many(io.BytesIO(), recordings=[ids[0], "zzzzzzzzzzzz"])
    with pytest.raises(BodyInvalid):
        client.export_many(io.BytesIO())


def test_a_batch_hands_out_no_more_than_one_sees(service: Running, audio: Path) -> None:
    with (
        Client(service.url, service.key("read", "write", user="anna")) as anna,
        Client(service.url, service.key()) as admin,
    ):
        batch = anna.open_batch("calls").id
        own = anna.submit(audio, batch_id=batch)
        audio.write_bytes(b"another sound")
        other = admin.submit(audio, name="board.wav", batch_id=batch)
        for job in (own, other):
            finish(service, job.id, plain_transcript(1, job.name))
        table, archive = io.BytesIO(), io.BytesIO()
        anna.batch_table(table, batch, "json")
        anna.export_many(archive, batch_id=batch)
        all_of_it = io.BytesIO()
        admin.batch_table(all_of_it, batch, "json")
    assert [row["recording_id"] for row in json.loads(table.getvalue())] == [own.recording_id]
    assert b"board" not in table.getvalue() + archive.getvalue()
    assert len(json.loads(all_of_it.getvalue())) == 2


def test_a_recording_that_is_thrice_in_a_batch(
    service: Running, client: Client, audio: Path
) -> None:
    batch = client.open_batch("calls").id
    job = client.submit(audio, batch_id=batch)
    path = f"/recordings/{job.recording_id}/jobs"
    jobs = [job.id, *(client.ask("POST", path, json={"batch": batch})["id"] for _ in range(2))]
    for id in jobs:
        finish(service, id, plain_transcript(1, "一句。"))
    found = io.BytesIO()
    client.export_many(found, batch_id=batch)
    with zipfile.ZipFile(found) as archive:
        assert len(set(archive.namelist())) == len(archive.namelist()) == 4
