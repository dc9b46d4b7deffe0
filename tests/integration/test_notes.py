"""Notes on recordings: on both databases, over the API, and by commands."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from server_parts import Running, running
from sqlalchemy import select
from store_parts import plain_transcript

from lingting.answers import NotePage
from lingting.client import Client
from lingting.errors import (
    NoteNotFound,
    NotesTooMany,
    OptionInvalid,
    RecordingHeld,
    RecordingNotFound,
    RevisionConflict,
)
from lingting.server.accounts import Accounts
from lingting.server.views import history_text
from lingting.store import Notes, Store, audit, changes, history, open_store
from lingting.store.backup import back_up, restore
from lingting.store.notes import place_of
from lingting.store.records import Actor, Note
from lingting.store.schema import NoteRow
from tests.integration.test_cli_history import Home

RARE = "Brumbleweft"


@pytest.fixture
def notes(store: Store) -> Notes:
    return Notes(store.database)


def kept(store: Store, name: str = "a.wav", seconds: int = 60) -> str:
    """The id of a recording of so many seconds, which the user admin gave."""
    audio = io.BytesIO(name.encode())
    return store.keep(audio, plain_transcript(seconds), name=name, owner="admin").recording.id


# The store ---------------------------------------------------------------------------------------


def test_added_read_changed_and_removed(store: Store, notes: Notes) -> None:
    id = kept(store)
    made = notes.add(id, " 退款政策\n第二行 ", at_s=12.5, end_s=20.0, author="li")
    assert (made.text, made.at_s, made.end_s) == ("退款政策\n第二行", 12.5, 20.0)
    assert (made.recording_id, made.author, made.revision) == (id, "li", 1)
    assert made.created_at == made.changed_at
    assert notes.get(id, made.id) == made == notes.get(id[:6], made.id)
    changed = notes.change(id, made.id, "新的", at_s=None, end_s=None, based_on=1)
    assert changed == replace(
        made, text="新的", at_s=None, end_s=None, revision=2, changed_at=changed.changed_at
    )
    assert changed.changed_at > made.changed_at
    assert notes.listed(id) == [changed]
    assert notes.remove(id, made.id) == changed
    assert notes.listed(id) == []
    for gone in (
        lambda: notes.get(id, made.id),
        lambda: notes.remove(id, made.id),
        lambda: notes.change(id, made.id, "x", at_s=None, end_s=None, based_on=2),
    ):
        with pytest.raises(NoteNotFound):
            gone()


def test_a_note_is_of_one_recording(store: Store, notes: Notes) -> None:
    id, other = kept(store), kept(store, "b.wav")
    made = notes.add(id, "a")
    for strange in (
        lambda: notes.get(other, made.id),
        lambda: notes.remove(other, made.id),
        lambda: notes.change(other, made.id, "x", at_s=None, end_s=None, based_on=1),
        lambda: notes.get(id, "\0"),
    ):
        with pytest.raises(NoteNotFound):
            strange()
    for missing in (
        lambda: notes.add("nothing", "x"),
        lambda: notes.listed("nothing"),
        lambda: notes.get("nothing", made.id),
    ):
        with pytest.raises(RecordingNotFound):
            missing()
    assert notes.listed(id) == [made]
    assert notes.listed(other) == []


def test_in_order_of_time_and_by_the_page(store: Store, notes: Notes) -> None:
    id = kept(store)
    notes.add(kept(store, "b.wav"), "another's", at_s=2.0)
    times = [5.0, None, 0.0, 5.0, 0.001, None, 5.0, 30.0]
    made = [notes.add(id, str(at), at_s=at_s) for at, at_s in enumerate(times)]
    with store.database.write() as session:  # written in the same moment
        for one in made:
            session.get_one(NoteRow, one.id).created_at = made[0].created_at
        session.get_one(NoteRow, made[6].id).created_at -= timedelta(seconds=1)
    whole = notes.listed(id)
    assert [one.at_s for one in whole] == [None, None, 0.0, 0.001, 5.0, 5.0, 5.0, 30.0]
    assert whole[4].text == "6"  # the oldest of those about the same moment
    assert [one.id for one in whole[:2]] == sorted(one.id for one in whole[:2])
    for limit in (1, 2, 3, 8):
        found: list[Note] = []
        while page := notes.listed(id, limit=limit, after=place_of(found[-1]) if found else None):
            assert len(page) <= limit
            found += page
        assert found == whole


def test_places_are_within_the_recording(store: Store, notes: Notes) -> None:
    id = kept(store, seconds=60)
    made = notes.add(id, "x", at_s=60.0)
    for at_s, end_s in ((90.0, None), (10.0, 90.0), (None, 1.0), (2.0, 1.0)):
        with pytest.raises(OptionInvalid):
            notes.add(id, RARE, at_s=at_s, end_s=end_s)
        with pytest.raises(OptionInvalid):
            notes.change(id, made.id, RARE, at_s=at_s, end_s=end_s, based_on=1)
    assert notes.listed(id) == [made]


def test_a_recording_of_unknown_length_takes_any_place(store: Store, notes: Notes) -> None:
    with store.database.write() as session:
        blob = store.blobs.put(io.BytesIO(b"sound"))
        changes.note_blob(session, blob)
        id = changes.add_recording(session, blob.digest, "a", owner=None, department=None)
    assert notes.add(id, "x", at_s=1e5).at_s == 1e5


def test_of_many_at_once_one_changes_it(store: Store, notes: Notes) -> None:
    id = kept(store)
    made = notes.add(id, "x")
    ready = threading.Barrier(4)
    outcomes: list[object] = []

    def work(number: int) -> None:
        ready.wait()
        try:
            outcomes.append(
                notes.change(id, made.id, str(number), at_s=None, end_s=None, based_on=1)
            )
        except RevisionConflict as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert outcomes.count("store.revision_conflict") == 3
    (changed,) = [one for one in outcomes if not isinstance(one, str)]
    assert notes.get(id, made.id) == changed


def test_based_on_what_was_read(store: Store, notes: Notes) -> None:
    id = kept(store)
    made = notes.add(id, "x")
    for wrong in (0, 2):
        with pytest.raises(RevisionConflict) as told:
            notes.change(id, made.id, RARE, at_s=None, end_s=None, based_on=wrong)
        assert RARE not in str(told.value)
    assert notes.get(id, made.id) == made


def test_there_is_room_for_so_many(
    store: Store, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingting.store.notes.MAX_NOTES", 2)
    id = kept(store)
    first = notes.add(id, "a")
    notes.add(id, "b")
    with pytest.raises(NotesTooMany, match="2 notes"):
        notes.add(id, "c")
    notes.add(kept(store, "b.wav"), "c")
    notes.remove(id, first.id)
    notes.add(id, "c")


def test_another_transcript_leaves_them(store: Store, notes: Notes) -> None:
    id = kept(store)
    made = notes.add(id, "x", at_s=1.0)
    store.revise(id, plain_transcript(3, "other {}"), based_on=1, author="li")
    store.delete(id)
    assert notes.listed(id) == [made]  # and while it is deleted
    store.undo(id)
    assert notes.listed(id) == [made]


def test_a_hold_keeps_those_that_are_there(store: Store, notes: Notes) -> None:
    id = kept(store)
    made = notes.add(id, "x")
    store.hold(id)
    with pytest.raises(RecordingHeld):
        notes.remove(id, made.id)
    with pytest.raises(RecordingHeld):
        notes.change(id, made.id, "y", at_s=None, end_s=None, based_on=1)
    added = notes.add(id, "z")
    assert notes.listed(id) == [made, added]
    store.release(id)
    notes.remove(id, made.id)


def test_the_audit_trail_says_who_and_no_text(store: Store, notes: Notes) -> None:
    wang = Actor("wang", "key:x")
    id = kept(store)
    made = notes.add(id, RARE, at_s=2.0, author=RARE, actor=wang)
    notes.change(id, made.id, f"{RARE}s", at_s=3.0, end_s=None, based_on=1, actor=wang)
    with pytest.raises(RevisionConflict):
        notes.change(id, made.id, "z", at_s=3.0, end_s=None, based_on=1, actor=wang)
    notes.remove(id, made.id, actor=wang)
    with store.database.read() as session:
        trail = audit.entries(session, object_id=id)[::-1]
        assert audit.verify(session).bad_id is None
    assert [(one.action, one.actor, one.by) for one in trail if one.action[:4] == "note"] == [
        ("note.added", "wang", "key:x"),
        ("note.changed", "wang", "key:x"),
        ("note.removed", "wang", "key:x"),
    ]
    assert {one.details["note"] for one in trail if one.action[:4] == "note"} == {made.id}
    assert RARE not in str(trail)


def test_a_purge_removes_them(store: Store, notes: Notes, tmp_path: Path) -> None:
    id, other = kept(store), kept(store, "b.wav")
    made = notes.add(id, RARE * 100, author=f"by {RARE}")
    notes.change(id, made.id, f"{RARE} again", at_s=1.0, end_s=None, based_on=1)
    stays = notes.add(other, "stays")
    store.delete(id)
    store.purge(id)
    with store.database.read() as session:
        assert session.scalars(select(NoteRow.id)).all() == [stays.id]
    with pytest.raises(RecordingNotFound):
        notes.listed(id)
    assert notes.listed(other) == [stays]
    if store.database.is_sqlite:  # not in a free page, nor in the log
        files = [one for one in (tmp_path / "data").rglob("*") if one.is_file()]
        assert [one.name for one in files if RARE.encode() in one.read_bytes()] == []


def test_a_backup_carries_them(store: Store, notes: Notes, tmp_path: Path) -> None:
    id = kept(store)
    notes.add(id, "全部", author="li")
    made = notes.add(id, "x", at_s=1 / 3, end_s=2.0)
    notes.change(id, made.id, "y", at_s=1 / 3, end_s=2.5, based_on=1)
    back_up(store, tmp_path / "all.tar")
    restore(tmp_path / "all.tar", tmp_path / "other")
    with open_store(tmp_path / "other") as other:
        assert Notes(other.database).listed(id) == notes.listed(id)
        assert len(notes.listed(id)) == 2


# The API -----------------------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data") as found:
        yield found


def test_over_the_api(service: Running) -> None:
    id = kept(service.service.store)
    with service.client("read", "write") as http:
        answer = http.post(f"/recordings/{id}/notes", json={"text": "退款", "at_s": 1.5})
        made = answer.json()
        assert answer.status_code == 201
        assert made == {
            "id": made["id"], "recording_id": id, "at_s": 1.5, "end_s": None, "text": "退款",
            "author": "admin", "revision": 1, "created_at": made["created_at"],
            "changed_at": made["created_at"],
        }  # fmt: skip
        path = f"/recordings/{id}/notes/{made['id']}"
        answer = http.get(path)
        assert answer.json() == made
        assert answer.headers["etag"] == f'"{made["id"]}-1"'
        changes = (
            ({"text": "b"}, ("b", 1.5, None)),
            ({"end_s": 3}, ("b", 1.5, 3.0)),
            ({"text": None, "at_s": 2.0}, ("b", 2.0, 3.0)),
            ({"end_s": None}, ("b", 2.0, None)),
            ({"at_s": None}, ("b", None, None)),
            ({"at_s": 0, "end_s": 60, "text": "c"}, ("c", 0.0, 60.0)),
        )
        for number, (change, wanted) in enumerate(changes, start=1):
            found = http.patch(path, json={"based_on": number, **change}).json()
            assert (found["text"], found["at_s"], found["end_s"]) == wanted
            assert found["revision"] == number + 1
        late = http.patch(path, json={"based_on": 6, "text": "d"})
        assert (late.status_code, late.json()["error"]["code"]) == (409, "store.revision_conflict")
        assert http.delete(path).json() == found
        for gone in (http.get(path), http.delete(path), http.patch(path, json={"based_on": 7})):
            assert gone.status_code == 404
            assert gone.json()["error"]["code"] == "store.note_not_found"


def test_what_no_database_holds(tmp_path: Path, url: str | None) -> None:
    values = {} if url is None else {"database_url": SecretStr(url)}
    with running(tmp_path / "data", **values) as service, service.client() as http:
        id = kept(service.service.store)
        body = json.dumps({"text": "a\0\ud800b"}).encode()
        headers = {"Content-Type": "application/json"}
        answer = http.post(f"/recordings/{id}/notes", content=body, headers=headers)
        assert (answer.status_code, answer.json()["text"]) == (201, "a\ufffd\ufffdb")
        assert http.get(f"/recordings/{id}/notes").json()["items"] == [answer.json()]


def test_pages_over_the_api(service: Running) -> None:
    store = service.service.store
    id = kept(store)
    notes = Notes(store.database)
    for at in range(7):
        notes.add(id, str(at), at_s=None if at % 3 == 0 else at / 7)
    wanted = [one.id for one in notes.listed(id)]
    with service.client("read") as http:
        whole = http.get(f"/recordings/{id}/notes").json()
        assert [one["id"] for one in whole["items"]] == wanted
        assert whole["next"] is None
        for limit in (1, 2, 7):
            found: list[str] = []
            after: dict[str, str] = {}
            while True:
                page = http.get(f"/recordings/{id}/notes", params={"limit": limit, **after}).json()
                found += [one["id"] for one in page["items"]]
                if page["next"] is None:
                    break
                after = {"after": page["next"]}
            assert found == wanted
        for wrong in ("x", "", "0", history_text(history.place_of(store.recording(id), "newest"))):
            answer = http.get(f"/recordings/{id}/notes", params={"after": wrong})
            assert answer.json()["error"]["code"] == "option.invalid", wrong


def test_who_writes_what(service: Running) -> None:
    """A manager changes a note of the department's; its author stays."""
    accounts = Accounts(service.service.store)
    accounts.add_department("sales")
    for name, role in (("mona", "manager"), ("olga", "member"), ("carl", "member")):
        accounts.add_user(name, role=role, department="sales")
    who = {"owner": "olga", "department": "sales"}
    audio = io.BytesIO(b"sound")
    id = service.service.store.keep(audio, plain_transcript(9), name="a", **who).recording.id
    with (
        service.client("read", "write", user="olga") as olga,
        service.client("read", "write", user="carl") as carl,
        service.client("read", "write", user="mona") as mona,
    ):
        made = olga.post(f"/recordings/{id}/notes", json={"text": "a"}).json()
        path = f"/recordings/{id}/notes/{made['id']}"
        changed = mona.patch(path, json={"based_on": 1, "text": "b"}).json()
        assert (changed["author"], changed["revision"]) == ("olga", 2)
        hidden = [carl.get(path), carl.get("/recordings/nothing/notes"), carl.delete(path)]
        assert {one.status_code for one in hidden} == {404}
        assert {one.json()["error"]["code"] for one in hidden} == {"store.recording_not_found"}
        accounts.share_department("sales", True)
        service.service.access._remembered.clear()
        assert carl.get(path).json() == changed
        assert carl.get(f"/recordings/{id}/notes").json()["items"] == [changed]
        refused = [
            carl.post(f"/recordings/{id}/notes", json={"text": "c"}),
            carl.patch(path, json={"based_on": 2, "text": "c"}), carl.delete(path),
        ]  # fmt: skip
        assert {one.status_code for one in refused} == {403}
        assert olga.get(path).json() == changed


def test_what_is_read_and_written_is_noted(service: Running) -> None:
    id = kept(service.service.store)
    with service.client("admin") as http:
        http.post(f"/recordings/{id}/notes", json={"text": RARE})
        http.get(f"/recordings/{id}/notes")
        http.get(f"/recordings/{id}/notes")
        trail = http.get("/audit", params={"object": id}).json()["items"]
    assert [one["action"] for one in trail] == ["notes.read", "note.added"]
    assert RARE not in str(trail)


def test_no_text_in_errors_and_logs(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    id = kept(service.service.store)
    with caplog.at_level(logging.DEBUG), service.client("admin") as http:
        path = f"/recordings/{id}/notes"
        for body in (
            {"text": RARE, "at_s": 99.0}, {"text": RARE, "end_s": 1.0}, {"text": [RARE]},
            {"text": RARE, "at_s": RARE}, {"text": RARE * 1_000}, {"text": RARE, RARE: 1}, [RARE],
            {"text": RARE, "author": "li"},
        ):  # fmt: skip
            answer = http.post(path, json=body)
            assert answer.status_code == 400, body
            assert RARE not in answer.text.replace(f"body.{RARE}", "")
        for text in (
            '{"text": "Brumbleweft", "at_s": NaN}',
            '{"text": "Brumbleweft", "at_s": 1e999}',
        ):
            headers = {"content-type": "application/json"}
            answer = http.post(path, content=text, headers=headers)
            assert (answer.status_code, RARE in answer.text) == (400, False)
        made = http.post(path, json={"text": RARE})
        assert made.status_code == 201
        one = f"{path}/{made.json()['id']}"
        assert http.patch(one, json={"based_on": 2, "text": RARE}).status_code == 409
        service.service.store.hold(id)
        for held in (http.patch(one, json={"based_on": 1, "text": RARE}), http.delete(one)):
            assert held.json()["error"]["code"] == "store.recording_held"
        assert http.get(path).json()["items"] == [made.json()]
    assert RARE not in caplog.text
    assert RARE not in str([vars(one) for one in caplog.records])


def test_no_more_than_allowed(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingting.store.notes.MAX_NOTES", 1)
    id = kept(service.service.store)
    with service.client("admin") as http:
        assert http.post(f"/recordings/{id}/notes", json={"text": "a"}).status_code == 201
        full = http.post(f"/recordings/{id}/notes", json={"text": "b"})
        assert (full.status_code, full.json()["error"]["code"]) == (409, "store.too_many_notes")


def test_the_client(service: Running) -> None:
    store = service.service.store
    id = kept(store)
    notes = Notes(store.database)
    with (
        Client(service.url, service.key("read", "write")) as client,
        Client(service.url, service.key("read", "write", user="li")) as li,
    ):
        first = client.add_note(id, "退款", at_s=2.0, end_s=3.5)
        second = client.add_note(id, "whole")
        assert [second, first] == notes.listed(id)
        page = client.notes(id, limit=1)
        assert page.items == (second,)
        assert client.notes(id, limit=1, after=page.next).items == (first,)
        assert client.notes(id) == NotePage((second, first), None)
        assert client.note(id, first.id) == first
        changed = client.change_note(replace(first, text="新", end_s=None))
        assert changed == replace(
            first, text="新", end_s=None, revision=2, changed_at=changed.changed_at
        )
        for refused, error in (
            (lambda: client.change_note(first), RevisionConflict),
            (lambda: client.add_note(id, ""), OptionInvalid),
            (lambda: client.add_note(id, "x", at_s=99.0), OptionInvalid),
            (lambda: client.note(id, "../.."), NoteNotFound),
            (lambda: li.notes(id), RecordingNotFound),
            (lambda: li.add_note(id, "x"), RecordingNotFound),
            (lambda: li.change_note(changed), RecordingNotFound),
            (lambda: li.delete_note(id, first.id), RecordingNotFound),
        ):
            with pytest.raises(error):
                refused()
        assert client.delete_note(id, first.id) == changed
        assert client.notes(id).items == (second,)


# Commands ----------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def test_the_command(home: Home, tmp_path: Path) -> None:
    with open_store(home.folder) as store:
        id = kept(store)
    assert home.rows("history", "note", id) == []
    done = home.run("history", "note", id[:6], "退款\n第二行", "--at", "0:01.5", "--by", "li")
    assert (done.returncode, done.stdout, "is there, revision 1" in done.stderr) == (0, "", True)
    (row,) = home.rows("history", "note", id)
    assert (row["text"], row["at_s"], row["end_s"]) == ("退款\n第二行", 1.5, None)
    assert row["author"] == "li"
    change = ("history", "note", id, "--change", row["id"])
    (changed,) = home.rows(*change, "--at", "2", "--until", "0:04", "--based-on", "1")
    assert (changed["text"], changed["at_s"], changed["end_s"]) == (row["text"], 2.0, 4.0)
    (changed,) = home.rows(*change, "neu")
    assert (changed["text"], changed["at_s"], changed["revision"]) == ("neu", 2.0, 3)
    text = tmp_path / "text"
    text.write_bytes(b"\xef\xbb\xbffrom a pipe\n")
    with text.open() as stream:
        done = home.run("history", "note", id, "-", stdin=stream)
    assert done.returncode == 0, done.stderr
    table = home.run("history", "note", id).stdout.splitlines()
    assert table[0] == "id\tat\tauthor\trevision\tchanged\ttext"
    assert [line.split("\t")[1] for line in table[1:]] == ["", "0:02-0:04"]
    assert [line.split("\t")[-1] for line in table[1:]] == ["from a pipe", "neu"]
    for words, code in (
        (("--change", row["id"], "x", "--based-on", "1"), "store.revision_conflict"),
        (("--change", "nothing", "x"), "store.note_not_found"),
        (("--change", row["id"], "x", "--by", "li"), "option.invalid"),
        (("--remove", "nothing"), "store.note_not_found"),
        (("--remove", row["id"], "x"), "option.invalid"),
        (("--at", "1"), "option.invalid"),
        (("x", "--based-on", "1"), "option.invalid"),
        (("x", "--at", "1:60"), "option.invalid"),
        (("x", "--at", "1:30"), "option.invalid"),
        (("x", "--until", "3"), "option.invalid"),
    ):
        done = home.run("history", "note", id, *words)
        assert (done.returncode, f"[{code}]" in done.stderr) == (2, True), words
    done = home.run("history", "note", id, "--remove", row["id"])
    assert (done.returncode, f"{row['id']} is removed" in done.stderr) == (0, True)
    assert len(home.rows("history", "note", id)) == 1
    for given in (b"\xff", b"x" * ((1 << 20) + 1), b""):
        text.write_bytes(given)
        with text.open() as stream:
            done = home.run("history", "note", id, "-", stdin=stream)
        assert (done.returncode, "[option.invalid]" in done.stderr) == (2, True)
