"""Glossaries: on both databases, in jobs, over the API, and by commands."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from server_parts import Running, running

from lingting.client import Client
from lingting.errors import (
    GlossaryNotFound,
    NotAllowed,
    OptionInvalid,
    RequestConflict,
    RevisionConflict,
)
from lingting.jobs import Desk, FolderWatch, JobOptions
from lingting.pipeline import PipelineOptions
from lingting.store import Glossaries, Store, audit
from lingting.store.records import MAX_WORDS, Actor
from tests.integration.test_cli_history import Home
from tests.integration.worker_parts import finished, stop, undisturbed, worker


@pytest.fixture
def glossaries(store: Store) -> Glossaries:
    return Glossaries(store.database)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


# The store ---------------------------------------------------------------------------------------


def test_kept_read_changed_and_removed(glossaries: Glossaries) -> None:
    made = glossaries.save("术语", ["聆听", " 退款 ", "聆听"], based_on=0, owner="li")
    assert (made.words, made.count, made.revision) == (("聆听", "退款"), 2, 1)
    assert glossaries.get("术语", owner="li") == made == glossaries.get(made.id, owner="li")
    assert glossaries.listed(owner="li") == [replace(made, words=None)]
    changed = glossaries.save("术语", ["工单"], based_on=1, owner="li")
    assert (changed.id, changed.revision, changed.words) == (made.id, 2, ("工单",))
    assert changed.created_at == made.created_at
    assert changed.changed_at > made.changed_at
    assert glossaries.delete(made.id, owner="li") == changed
    with pytest.raises(GlossaryNotFound):
        glossaries.get("术语", owner="li")
    with pytest.raises(GlossaryNotFound):
        glossaries.delete("术语", owner="li")
    assert glossaries.save("术语", ["a"], based_on=0, owner="li").id != made.id


def test_who_sees_what(glossaries: Glossaries) -> None:
    shared = glossaries.save("terms", ["all"], based_on=0)
    sales = glossaries.save("sales", ["sales"], based_on=0, department="sales")
    own = glossaries.save("terms", ["own"], based_on=0, owner="li")
    other = glossaries.save("secret", ["other"], based_on=0, owner="wang")

    def names(**who: str) -> list[tuple[str, str | None]]:
        return [(one.name, one.owner) for one in glossaries.listed(**who)]

    assert names() == [("terms", None)]
    assert names(owner="li") == [("terms", "li"), ("terms", None)]
    assert names(owner="li", department="sales")[0] == ("sales", None)
    assert names(owner="wang") == [("secret", "wang"), ("terms", None)]
    assert glossaries.get("terms", owner="li") == own
    assert glossaries.get("terms", owner="wang") == shared == glossaries.get("terms")
    assert glossaries.get(shared.id, owner="li") == shared
    assert glossaries.get("sales", owner="li", department="sales") == sales
    for hidden in (other.name, other.id, sales.name, sales.id):
        with pytest.raises(GlossaryNotFound):
            glossaries.get(hidden, owner="li", department="law")
    for hidden in (other.id, shared.id, "sales", "nothing", "\0"):
        with pytest.raises(GlossaryNotFound):
            glossaries.delete(hidden, owner="li")
    with pytest.raises(OptionInvalid):
        glossaries.save("x", ["a"], based_on=0, owner="li", department="sales")


def test_a_name_goes_before_an_id(glossaries: Glossaries) -> None:
    first = glossaries.save("first", ["a"], based_on=0)
    named = glossaries.save(first.id, ["b"], based_on=0)
    assert glossaries.get(first.id) == named
    assert glossaries.delete(first.id) == named
    assert glossaries.get(first.id) == first


@pytest.mark.parametrize("owner", ["li", None])
def test_one_of_many_at_once_is_first(glossaries: Glossaries, owner: str | None) -> None:
    ready = threading.Barrier(4)
    outcomes: list[object] = []

    def work(number: int) -> None:
        ready.wait()
        try:
            outcomes.append(glossaries.save("terms", [str(number)], based_on=0, owner=owner))
        except RevisionConflict as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert outcomes.count("store.revision_conflict") == 3
    (made,) = [one for one in outcomes if not isinstance(one, str)]
    assert glossaries.get("terms", owner=owner) == made


def test_based_on_what_was_read(glossaries: Glossaries) -> None:
    with pytest.raises(RevisionConflict):
        glossaries.save("terms", ["a"], based_on=1)
    glossaries.save("terms", ["a"], based_on=0)
    for wrong in (0, 2):
        with pytest.raises(RevisionConflict) as told:
            glossaries.save("terms", ["Brumbleweft"], based_on=wrong)
        assert "Brumbleweft" not in str(told.value)
    assert glossaries.get("terms").words == ("a",)


def test_the_audit_trail_says_who_and_no_words(store: Store, glossaries: Glossaries) -> None:
    wang = Actor("wang", "key:x")
    made = glossaries.save("Brumbleweft", ["Quincunxes", "b"], based_on=0, actor=wang)
    with pytest.raises(RevisionConflict):
        glossaries.save("Brumbleweft", ["c"], based_on=0, actor=wang)
    glossaries.delete("Brumbleweft", actor=wang)
    with store.database.read() as session:
        trail = audit.entries(session)[::-1]
        assert audit.verify(session).bad_id is None
    assert [(one.action, one.object_id, one.actor, one.by) for one in trail] == [
        ("glossary.saved", made.id, "wang", "key:x"),
        ("glossary.deleted", made.id, "wang", "key:x"),
    ]
    assert trail[0].details == {"revision": 1, "words": 2}
    assert "Brumbleweft" not in str(trail)
    assert "Quincunxes" not in str(trail)


def test_there_is_room_for_so_many(glossaries: Glossaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingting.store.glossaries._MAX_OF_ONE_OWNER", 2)
    for name in ("a", "b"):
        glossaries.save(name, ["x"], based_on=0, owner="li")
    with pytest.raises(OptionInvalid, match="2 glossaries"):
        glossaries.save("c", ["x"], based_on=0, owner="li")
    glossaries.save("a", ["y"], based_on=1, owner="li")
    glossaries.save("c", ["x"], based_on=0, owner="wang")


# Jobs --------------------------------------------------------------------------------------------


def submit(desk: Desk, options: JobOptions, **more: object) -> dict[str, object]:
    job = desk.submit(io.BytesIO(b"sound"), name="a", options=options, **more)  # type: ignore[arg-type]
    return dict(job.options)


def test_a_job_keeps_the_words_it_was_given(desk: Desk, glossaries: Glossaries) -> None:
    made = glossaries.save("terms", ["b", "c"], based_on=0)
    options = JobOptions(hotwords=("a", "b"), glossary="terms")
    first = submit(desk, options, owner="li", idempotency_key="k")
    assert first["hotwords"] == ["a", "b", "c"]
    assert (first["glossary"], first["glossary_id"]) == ("terms", made.id)
    assert first["glossary_revision"] == 1
    assert JobOptions.from_dict(first).pipeline().hotwords == ("a", "b", "c")
    glossaries.save("terms", ["d"], based_on=1)
    assert submit(desk, options, owner="li")["hotwords"] == ["a", "b", "d"]
    glossaries.delete("terms")
    assert submit(desk, options, owner="li", idempotency_key="k") == first
    with pytest.raises(RequestConflict):
        submit(desk, JobOptions(), owner="li", idempotency_key="k")
    with pytest.raises(GlossaryNotFound):
        desk.submit(io.BytesIO(b"other sound"), name="a", options=options, owner="li")
    assert len(list(desk.store.blobs.digests())) == 1  # nothing is kept of what was refused


def test_a_job_gets_its_owners(desk: Desk, glossaries: Glossaries) -> None:
    glossaries.save("terms", ["all"], based_on=0)
    own = glossaries.save("terms", ["own"], based_on=0, owner="li")
    glossaries.save("sales", ["sold"], based_on=0, department="sales")
    named = JobOptions(glossary="terms")
    assert submit(desk, named)["hotwords"] == ["all"]
    assert submit(desk, named, owner="wang")["hotwords"] == ["all"]
    assert submit(desk, named, owner="li")["hotwords"] == ["own"]
    with pytest.raises(GlossaryNotFound):
        submit(desk, JobOptions(glossary=own.id), owner="wang")
    sold = desk.submit(
        io.BytesIO(b"sold"), name="s", options=JobOptions(glossary="sales"), department="sales"
    )
    assert sold.options["hotwords"] == ["sold"]
    again = desk.resubmit(sold.recording_id, JobOptions(glossary="sales", hotwords=("x",)))
    assert again.options["hotwords"] == ["x", "sold"]
    with pytest.raises(GlossaryNotFound):
        desk.resubmit(sold.recording_id, JobOptions(glossary="nothing"))
    forged = submit(desk, JobOptions(glossary_id=own.id, glossary_revision=1), owner="wang")
    assert "glossary_id" not in forged


def test_no_more_hotwords_than_allowed(desk: Desk, glossaries: Glossaries) -> None:
    glossaries.save("terms", [f"g{at}" for at in range(MAX_WORDS)], based_on=0)
    given = tuple(f"h{at}" for at in range(MAX_WORDS - 1))
    kept = submit(desk, JobOptions(hotwords=given, glossary="terms"))["hotwords"]
    assert kept == [*given, "g0"]


def test_a_watched_folder_waits_for_its_glossary(
    desk: Desk, glossaries: Glossaries, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"sound")
    options = JobOptions(glossary="Brumbleweft")
    with pytest.raises(GlossaryNotFound):
        desk.watch_folder(folder, options)
    watch = FolderWatch(desk, folder, options, settle_s=0.0)
    with caplog.at_level(logging.DEBUG):
        assert [watch.scan() for _ in range(3)] == [[], [], []]
    assert [one.getMessage() for one in caplog.records] == ["a watched folder waits"]
    assert "Brumbleweft" not in str([vars(one) for one in caplog.records])
    glossaries.save("Brumbleweft", ["x"], based_on=0)
    watch.scan()
    (job,) = watch.scan()
    assert job.options["hotwords"] == ["x"]


@pytest.mark.speech
@pytest.mark.usefixtures("vad_folder")
def test_the_engine_hears_of_the_words(
    desk: Desk, glossaries: Glossaries, url: str | None, tmp_path: Path, speech_dir: Path
) -> None:
    """The worker's scripted engine writes other words for other options."""
    path = min(speech_dir.rglob("zh-aishell1-*.flac"))
    glossaries.save("terms", ["聆听", "退款"], based_on=0)
    told = JobOptions(glossary="terms", hotwords=("退款",))
    job = desk.submit(path, name=path.name, options=told)
    glossaries.save("terms", ["else"], based_on=1)  # before it is worked on
    folder = tmp_path / "engine"
    folder.mkdir()
    with worker(tmp_path / "data", folder, url=url) as process:
        (done,) = finished(desk, job)
        assert stop(process) == 0
    assert (done.state, done.error) == ("done", None)
    written = desk.store.transcript(job.recording_id)
    assert written == undisturbed(path, PipelineOptions(hotwords=("退款", "聆听")))
    assert written != undisturbed(path)
    assert "聆听" not in (folder / "log").read_text()


# The API -----------------------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data") as found:
        yield found


def test_the_client(service: Running, tmp_path: Path) -> None:
    with (
        Client(service.url, service.key("read", "write", user="li")) as li,
        Client(service.url, service.key("read", "write", user="wang")) as wang,
        Client(service.url, service.key("read", user="li")) as reader,
        Client(service.url, service.key("admin")) as admin,
    ):
        made = li.save_glossary("术语 100%?#", ["聆听", "退款"])
        shared = admin.save_glossary("v1.2", ["工单"], for_all=True)
        kept = Glossaries(service.service.store.database)
        assert li.glossary(made.name) == made == kept.get(made.id, owner="li")
        assert wang.glossary(shared.name) == shared == admin.glossary(shared.id)
        assert [one.id for one in li.glossaries()] == [shared.id, made.id]
        assert li.glossaries()[1] == replace(made, words=None)
        assert [one.id for one in wang.glossaries()] == [shared.id]
        assert reader.glossary(made.id) == made
        audio = tmp_path / "a.mp3"
        audio.write_bytes(b"sound")
        job = li.submit(audio, options={"glossary": made.name, "hotwords": ["退款"]})
        assert job.options["hotwords"] == ["退款", "聆听"]
        assert job.options["glossary_revision"] == 1
        again = li.transcribe_again(job.recording_id, {"glossary": shared.name})
        assert again.options["hotwords"] == ["工单"]
        assert li.save_glossary(made.name, ["x"], based_on=1).revision == 2
        for refused, error in (
            (lambda: li.save_glossary(made.name, ["y"], based_on=1), RevisionConflict),
            (lambda: li.save_glossary(made.name, ["y"]), RevisionConflict),
            (lambda: li.save_glossary("new", []), OptionInvalid),
            (lambda: li.save_glossary("..", ["x"]), OptionInvalid),
            (lambda: li.save_glossary("new", ["x"], for_all=True), NotAllowed),
            (lambda: li.delete_glossary(shared.name, for_all=True), NotAllowed),
            (lambda: li.delete_glossary(shared.name), GlossaryNotFound),
            (lambda: wang.glossary(made.id), GlossaryNotFound),
            (lambda: wang.delete_glossary(made.id), GlossaryNotFound),
            (lambda: wang.submit(audio, options={"glossary": made.id}), GlossaryNotFound),
            (lambda: reader.save_glossary("new", ["x"]), NotAllowed),
            (lambda: reader.delete_glossary(made.name), NotAllowed),
        ):
            with pytest.raises(error):
                refused()
        assert li.delete_glossary(made.name).words == ("x",)
        assert admin.delete_glossary(shared.id, for_all=True).id == shared.id
        assert kept.listed(owner="li") == []


def test_an_upload_is_refused_before_a_byte_is_kept(service: Running) -> None:
    glossaries = Glossaries(service.service.store.database)
    with service.client("read", "write", user="li") as http:

        def send() -> httpx.Response:
            return http.post(
                "/recordings", data={"glossary": "terms"}, files={"file": ("a.mp3", b"sound")},
                headers={"Idempotency-Key": "k"},
            )  # fmt: skip

        answer = send()
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "store.glossary_not_found"
        assert service.blobs() == []
        glossaries.save("terms", ["x"], based_on=0)
        taken = send()
        assert taken.status_code == 202
        glossaries.delete("terms")
        assert send().json() == taken.json()  # what was taken needs it no longer


def test_bodies_that_cannot_be(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), service.client() as http:
        for body in (
            {}, {"words": "Brumbleweft"}, {"words": [1]}, {"words": ["a"], "based_on": -1},
            {"words": ["a"], "owner": "li"}, {"words": ["Brumbleweft" * 1_000]}, [],
        ):  # fmt: skip
            answer = http.put("/glossaries/a", json=body)
            assert answer.status_code in {400, 422}, body
            assert "Brumbleweft" not in answer.text
        assert http.put("/glossaries/a", json={"words": ["x" * (1 << 20)]}).status_code == 413
        assert http.put("/glossaries/a", json={"words": ["Brumbleweft"]}).status_code == 200
    assert "Brumbleweft" not in caplog.text
    assert "Brumbleweft" not in str([vars(one) for one in caplog.records])


# Commands ----------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def test_the_commands(home: Home, tmp_path: Path) -> None:
    terms = tmp_path / "terms.txt"
    terms.write_text("# ours\n聆听\n\\#1\n", encoding="utf-8")
    assert home.rows("glossary", "list") == []
    assert home.run("glossary", "set", "terms", terms).returncode == 0
    assert home.run("glossary", "set", "mine", terms, "--user", "li").returncode == 0
    (row,) = home.rows("glossary", "list")
    assert (row["name"], row["owner"], row["count"], row["words"]) == ("terms", None, 2, None)
    assert len(home.rows("glossary", "list", "--user", "li")) == 2
    assert home.rows("glossary", "show", row["id"])[0]["words"] == ["聆听", "#1"]
    assert home.run("glossary", "show", "terms").stdout == "聆听\n#1\n"
    copy = tmp_path / "copy.txt"
    assert home.run("glossary", "export", "terms", "--output", copy).returncode == 0
    assert copy.read_text(encoding="utf-8") == "聆听\n\\#1\n"
    assert home.run("glossary", "export", "mine", "--user", "li").stdout == "聆听\n\\#1\n"
    done = home.run("glossary", "set", "terms", copy)
    assert (done.returncode, "revision 2" in done.stderr) == (0, True)
    for words, code in (
        (("set", "terms", copy, "--based-on", "1"), "store.revision_conflict"),
        (("set", "terms", copy, "--based-on", "0"), "store.revision_conflict"),
        (("set", "terms", tmp_path), "option.invalid"),
        (("set", "a/b", copy), "option.invalid"),
        (("show", "mine"), "store.glossary_not_found"),
        (("delete", "mine"), "store.glossary_not_found"),
        (("export", "terms", "-o", tmp_path / "no" / "file"), "output.unwritable"),
    ):
        done = home.run("glossary", *words)
        assert (done.returncode, f"[{code}]" in done.stderr) == (2, True), words
    assert home.run("glossary", "delete", "mine", "--user", "li").returncode == 0
    done = home.run("glossary", "list")
    assert done.stdout.splitlines()[0] == "id\tname\tuser\twords\trevision\tchanged"
    assert len(done.stdout.splitlines()) == 2


def test_a_backup_holds_them(home: Home, tmp_path: Path) -> None:
    terms = tmp_path / "terms.txt"
    terms.write_text("聆听\n", encoding="utf-8")
    home.run("glossary", "set", "terms", terms)
    assert home.run("backup", tmp_path / "all.tar").returncode == 0
    other = Home(tmp_path / "other")
    assert other.run("restore", tmp_path / "all.tar").returncode == 0
    assert other.rows("glossary", "show", "terms") == home.rows("glossary", "show", "terms")


def test_submit_by_command(service: Running, tmp_path: Path) -> None:
    Glossaries(service.service.store.database).save("terms", ["聆听"], based_on=0)
    audio = tmp_path / "a.mp3"
    audio.write_bytes(b"sound")
    environment = {
        **os.environ, "LINGTING_SERVER": service.url, "LINGTING_SERVER_KEY": service.key(),
        "LINGTING_DATA_DIR": str(tmp_path / "elsewhere"),
    }  # fmt: skip

    def run(glossary: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lingting", "submit", str(audio), "--hotword", "退款",
             "--glossary", glossary, "--json"],
            env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    done = run("terms")
    assert done.returncode == 0, done.stderr
    job = service.service.desk.job(json.loads(done.stdout)["job"]["id"])
    assert job.options["hotwords"] == ["退款", "聆听"]
    done = run("nothing")
    assert (done.returncode, "[store.glossary_not_found]" in done.stderr) == (2, True)


def test_transcribe_asks_the_store_for_it(home: Home, tmp_path: Path) -> None:
    audio = tmp_path / "a.mp3"
    audio.write_bytes(b"sound")
    done = home.run("transcribe", audio, "--glossary", "nothing")
    assert (done.returncode, "[store.glossary_not_found]" in done.stderr) == (2, True)
