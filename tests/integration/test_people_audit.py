"""Users, departments, keys that end, and the audit trail, on both databases."""

from __future__ import annotations

import io
import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from server_parts import running
from sqlalchemy import text
from store_parts import plain_transcript
from typer.testing import CliRunner

from lingting.cli.main import app
from lingting.errors import OptionInvalid, RecordingHeld, SignInNeeded, SignInRefused
from lingting.server import access as access_module
from lingting.server.access import Access
from lingting.server.accounts import Accounts
from lingting.server.oidc import Person
from lingting.store import AuditEntry, RetentionRule, Store, audit, migrating, open_store
from lingting.store.database import open_database

PASSWORD = "correct horse battery"  # noqa: S105 - of nobody
SAID = "unmistakable"
Opener = Callable[[], Store]


def keep(store: Store, audio: bytes = b"audio") -> str:
    return store.keep(io.BytesIO(audio), plain_transcript(3), name=f"{SAID}.wav").recording.id


def trail(store: Store) -> list[AuditEntry]:
    """The oldest first."""
    with store.database.read() as session:
        return audit.entries(session, limit=1_000)[::-1]


def actions(store: Store) -> list[str]:
    return [one.action for one in trail(store)]


def verdict(store: Store, anchor: str | None = None) -> audit.Verdict:
    with store.database.read() as session:
        return audit.verify(session, anchor)


def change(store: Store, *statements: str) -> None:
    """Behind the program's back."""
    with store.database.connect_to_write() as connection:
        for one in statements:
            connection.execute(text(one))


# The trail ---------------------------------------------------------------------------------------


def test_what_happens_to_a_recording_is_noted(store: Store) -> None:
    id = keep(store)
    corrected = replace(plain_transcript(2), segments=plain_transcript(2).segments[:1])
    store.revise(id, corrected, based_on=1, author=SAID)
    store.restore_revision(id, 1, author=SAID)
    store.hold(id, author=SAID)
    store.hold(id)
    with pytest.raises(RecordingHeld):
        store.delete(id)
    store.release(id)
    store.release(id)
    store.delete(id)
    store.delete(id)
    store.undo(id)
    store.undo(id)
    store.delete(id)
    receipt = store.purge(id)
    assert actions(store) == [
        "transcript.corrected", "transcript.restored", "recording.held", "recording.released",
        "recording.deleted", "recording.undone", "recording.deleted", "recording.purged",
    ]  # fmt: skip
    found = trail(store)
    assert {(one.object_kind, one.object_id, one.by) for one in found} == {
        ("recording", id, "local")
    }
    assert found[0].details == {"revision": 2, "based_on": 1}
    assert found[-1].details == {"receipt": receipt.id, "revisions": 3, "segments": 3}
    assert SAID not in str(found)
    assert verdict(store).rows == 8


def test_rules_are_noted_and_what_they_do(store: Store) -> None:
    ids = {keep(store, b"1"), keep(store, b"2")}
    store.set_retention([RetentionRule(delete_after_days=0, purge_after_days=0)])
    now = datetime.now(UTC) + timedelta(days=1)
    store.apply_retention(now)
    store.apply_retention(now + timedelta(days=1))
    first, *others = trail(store)
    assert (first.action, first.details) == ("retention.set", {"rules": 1})
    assert {(one.action, one.object_id) for one in others} == {
        (action, id) for action in ("recording.deleted", "recording.purged") for id in ids
    }
    assert {(one.actor, one.by) for one in others} == {("retention", "retention")}


def test_what_fails_is_not_noted(store: Store) -> None:
    """The row and what it tells of are one transaction."""
    id = keep(store)

    def fails() -> None:
        with store.database.write() as session:
            audit.note(session, None, "recording.deleted", "recording", id)
            raise OptionInvalid("stop")

    with pytest.raises(OptionInvalid):
        fails()
    assert trail(store) == []
    with store.database.write() as session, pytest.raises(AssertionError):
        audit.note(session, None, "x", "recording", id, said="a text of people")


@pytest.fixture
def ten(store: Store) -> Store:
    """Ten rows."""
    id = keep(store)
    for _ in range(5):
        store.delete(id)
        store.undo(id)
    assert verdict(store).rows == 10
    return store


@pytest.mark.parametrize(
    ("statements", "bad_id", "reason"),
    [
        (["update audit set actor = 'somebody' where id = 4"], 4, "was changed"),
        (["update audit set object_id = 'other' where id = 10"], 10, "was changed"),
        (["update audit set details = '{\"a\": 1}' where id = 1"], 1, "was changed"),
        (["update audit set at = '2026-01-01 00:00:00.000000' where id = 6"], 6, "was changed"),
        (["delete from audit where id = 5"], 5, "is missing"),
        (["delete from audit where id = 1"], 1, "is missing"),
        (["delete from audit where id >= 9"], 9, "is missing"),
        (["delete from audit"], 1, "is missing"),
        (
            ["update audit set id = 99 where id = 3", "update audit set id = 3 where id = 4",
             "update audit set id = 4 where id = 99"],
            3, "was changed",
        ),
        (
            ["delete from audit where id = 5",
             "update audit set id = id - 1 where id = 6"],
            5, "was changed",
        ),
        (["delete from settings where name = 'audit.head'"], 10, "was not the newest"),
    ],
)  # fmt: skip
def test_tampering_is_found(ten: Store, statements: list[str], bad_id: int, reason: str) -> None:
    change(ten, *statements)
    found = verdict(ten)
    assert found.bad_id == bad_id
    assert reason in found.reason
    assert found.rows == bad_id - (1 if reason != "was not the newest" else 0)
    # And it stays found when the program has gone on.
    id = keep(ten, b"another")
    ten.delete(id)
    if "settings" not in statements[0]:
        assert verdict(ten).bad_id == bad_id


def test_a_new_chain_is_seen_by_an_anchor(ten: Store) -> None:
    """Who may write may make a trail that is whole; what was noted elsewhere is not in it."""
    noted = verdict(ten).anchor
    assert verdict(ten, noted).bad_id is None
    change(ten, "delete from audit", "delete from settings where name = 'audit.head'")
    id = keep(ten, b"another")
    for _ in range(6):
        ten.delete(id)
        ten.undo(id)
    assert verdict(ten).bad_id is None
    found = verdict(ten, noted)
    assert (found.bad_id, found.reason) == (10, "is not the one that was noted")
    change(ten, "delete from audit", "delete from settings where name = 'audit.head'")
    assert verdict(ten, noted).bad_id == 1
    with pytest.raises(OptionInvalid):
        verdict(ten, "10")


def test_many_write_one_chain(store: Store) -> None:
    ids = [keep(store, bytes([at])) for at in range(6)]
    ready = threading.Barrier(len(ids))
    failed = []

    def work(id: str) -> None:
        ready.wait()
        try:
            for _ in range(5):
                store.delete(id)
                store.undo(id)
        except Exception as exc:
            failed.append(exc)

    threads = [threading.Thread(target=work, args=(id,)) for id in ids]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []
    found = verdict(store)
    assert (found.rows, found.last_id, found.bad_id) == (60, 60, None)


def test_a_page_after_another(ten: Store) -> None:
    with ten.database.read() as session:
        first = audit.entries(session, limit=4)
        then = audit.entries(session, limit=4, before=first[-1].id)
        undone = audit.entries(session, action="recording.undone")
        of_one = audit.entries(session, object_id=first[0].object_id)
        of_none = audit.entries(session, object_id="nothing")
    assert [one.id for one in first + then] == [10, 9, 8, 7, 6, 5, 4, 3]
    assert [one.id for one in undone] == [10, 8, 6, 4, 2]
    assert (len(of_one), of_none) == (10, [])


# Users and keys ----------------------------------------------------------------------------------


def test_signing_in_and_keys_are_noted(store: Store) -> None:
    access = Access(store)
    access.ensure_administrator()
    access.ensure_administrator()
    link = access.new_link()
    access.set_password(link, PASSWORD)
    session = access.sign_in("admin", PASSWORD)
    with pytest.raises(SignInRefused):
        access.sign_in("admin", SAID)
    with pytest.raises(SignInRefused):
        access.sign_in(SAID, "x" * 10)
    who = access.of_session(session)
    key, _ = access.new_key(SAID, user="room-3", actor=who.actor)
    access.revoke(key.id)
    found = trail(store)
    assert [(one.action, one.by.partition(":")[0], one.object_id) for one in found] == [
        ("user.added", "local", "admin"),
        ("link.made", "local", "admin"),
        ("password.set", "link", "admin"),
        ("sign_in", "password", "admin"),
        ("sign_in.refused", "password", "admin"),
        ("sign_in.refused", "password", ""),
        ("key.made", "session", key.id),
        ("key.revoked", "local", key.id),
    ]
    assert found[6].details == {"user": "room-3", "scopes": "read,write"}
    assert SAID not in str(found), "neither names of keys nor what was typed for a user"
    assert verdict(store).bad_id is None


def test_a_disabled_user_is_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "REMEMBERED_S", 0.0)
    access, accounts = Access(store), Accounts(store)
    access.ensure_administrator()
    accounts.add_department("sales")
    accounts.add_user("anna", department="sales")
    access.set_password(access.new_link("anna"), PASSWORD)
    session = access.sign_in("anna", PASSWORD)
    _, secret = access.new_key("hers", user="anna")
    link = access.new_link("anna")
    assert access.of_key(secret).user == access.of_session(session).user == "anna"
    accounts.disable_user("anna")
    accounts.disable_user("anna")
    for given, ask in ((secret, access.of_key), (session, access.of_session)):
        with pytest.raises(SignInNeeded):
            ask(given)
    with pytest.raises(SignInRefused):
        access.sign_in("anna", PASSWORD)
    with pytest.raises(access_module.LinkSpent):
        access.set_password(link, "another password")
    for make in (lambda: access.new_link("anna"), lambda: access.new_key("x", user="anna")):
        with pytest.raises(OptionInvalid, match="disabled"):
            make()
    accounts.enable_user("anna")
    assert access.of_key(secret).user == access.of_session(session).user == "anna"
    (_, anna) = accounts.users()
    assert (anna.department, anna.scopes, anna.disabled_at) == ("sales", ("read", "write"), None)
    done = [one.action for one in trail(store) if one.object_id == "anna"]
    assert done.count("user.disabled") == done.count("user.enabled") == 1


def test_what_a_provider_changes_is_noted_as_it_is(store: Store) -> None:
    access, accounts = Access(store), Accounts(store)
    for department in (None, "sales"):
        person = Person("https://idp 1", "anna", "member", department)
        access.sign_in_by_provider(person, decides_role=False, decides_department=True)
        if department is None:
            accounts.change_user("anna", role="manager")
    anna = accounts.user("anna")
    assert (anna.role, anna.department) == ("manager", "sales")
    changes = [one.details for one in trail(store) if one.action == "user.changed"]
    assert [one["role"] for one in changes] == ["manager", "manager"]


def test_somebody_can_always_administrate(store: Store) -> None:
    access, accounts = Access(store), Accounts(store)
    access.ensure_administrator()
    _, local = access.new_key("this machine", scopes=("admin",), is_local=True)
    accounts.add_user("ben", scopes=("admin",))
    with pytest.raises(OptionInvalid, match="administrator"):
        accounts.disable_user("admin")  # ben has no password
    assert not access.has_administrator()
    access.set_password(access.new_link("ben"), PASSWORD)
    accounts.disable_user("admin")
    assert access.ensure_administrator()
    assert access.has_administrator()
    assert access.of_key(local).is_admin, "who reads it owns the database anyway"
    with pytest.raises(OptionInvalid, match="administrator"):
        accounts.disable_user("ben")


@pytest.mark.parametrize(
    ("name", "values"),
    [("admin", {}), ("A b", {}), ("x", {"department": "none"}), ("x", {"scopes": ("root",)})],
)
def test_users_that_cannot_be(store: Store, name: str, values: dict[str, str]) -> None:
    Access(store).ensure_administrator()
    with pytest.raises(OptionInvalid):
        Accounts(store).add_user(name, **values)
    assert [one.name for one in Accounts(store).users()] == ["admin"]
    Accounts(store).add_department("a")
    for wrong in ("a", "", "x" * 61, "\x1b"):
        with pytest.raises(OptionInvalid):
            Accounts(store).add_department(wrong)
    assert [one.name for one in Accounts(store).departments()] == ["a"]


def test_two_add_the_same_user(store: Store) -> None:
    ready = threading.Barrier(4)
    outcomes = []

    def work() -> None:
        ready.wait()
        try:
            Accounts(store).add_user("anna")
            outcomes.append(True)
        except OptionInvalid:
            outcomes.append(False)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(outcomes) == [False, False, False, True]
    assert actions(store) == ["user.added"]


def test_a_key_ends_and_tells_when_it_was_used(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access(store)
    now = datetime.now(UTC)
    with pytest.raises(OptionInvalid):
        access.new_key("x", expires_at=now)
    key, secret = access.new_key("x", expires_at=now + timedelta(days=3))
    assert key.last_used_at is None
    access.of_key(secret)
    (first,) = access.keys()
    assert first.last_used_at is not None
    assert first.expires_at == key.expires_at
    monkeypatch.setattr(access_module, "REMEMBERED_S", 0.0)
    access.of_key(secret)
    assert access.keys() == [first], "not every use is written"
    monkeypatch.setattr(access_module, "_now", lambda: now + timedelta(hours=2))
    access.of_key(secret)
    assert access.keys()[0].last_used_at == now + timedelta(hours=2)
    monkeypatch.setattr(access_module, "REMEMBERED_S", 60.0)
    access.of_key(secret)
    monkeypatch.setattr(access_module, "_now", lambda: now + timedelta(days=3, seconds=1))
    assert access.remembered(secret) is None
    with pytest.raises(SignInNeeded):
        access.of_key(secret)


def test_the_api_says_who_it_was(tmp_path: Path) -> None:
    with (
        running(tmp_path / "data") as service,
        service.client("read", "write", user="anna") as client,
    ):
        sent = client.post("/recordings", files={"file": ("a.wav", b"x")}).json()
        recording = sent["items"][0]["job"]["recording_id"]
        client.delete(f"/recordings/{recording}")
        client.post(f"/recordings/{recording}/undo")
        client.delete(f"/recordings/{recording}")
        client.post(f"/recordings/{recording}/purge")
        found = [one for one in trail(service.service.store) if one.object_id == recording]
        (key,) = service.service.access.keys()
    assert [one.action.partition(".")[2] for one in found] == [
        "deleted", "undone", "deleted", "purged",
    ]  # fmt: skip
    assert {(one.actor, one.by) for one in found} == {("anna", f"key:{key.id}")}


# Before there were tables ------------------------------------------------------------------------


def test_settings_become_rows(url: str | None, tmp_path: Path) -> None:
    """Passwords, keys, sessions and links of the schema before go on working."""
    with open_store(tmp_path / "other") as other:  # makes what was in settings then
        access = Access(other)
        access.ensure_administrator()
        access.set_password(access.new_link(), PASSWORD)
        session, link = access.sign_in("admin", PASSWORD), access.new_link()
        key, secret = access.new_key("desk", user="room-3", is_local=True)
        rows = {}
        with other.database.read() as reading:
            for table, kind, id in (
                ("users", "user", "name"), ("keys", "key", "id"),
                ("sessions", "session", "id"), ("links", "link", "id"),
            ):  # fmt: skip
                for row in reading.execute(text(f"select * from {table}")).mappings():
                    rows[f"{kind}.{row[id]}"] = dict(row)
    for row in rows.values():
        row.pop("expires_at", None)
        for name in ("created_at", "until"):
            if name in row:
                row[name] = datetime.fromisoformat(row[name]).replace(tzinfo=UTC).isoformat()
        if "scopes" in row:
            row["scopes"] = json.loads(row["scopes"])
        if "password_hash" in row:
            row["hash"] = row.pop("password_hash")
    rows["link.ofnobody00"] = {"user": "gone", "sha256": "", "until": "2026-11-21T00:00:00+00:00"}
    rows["key_colour"] = {"a": None}

    database = open_database(url, tmp_path / "data")
    (tmp_path / "data").mkdir(exist_ok=True)
    migrating.upgrade_to(database, "0004")
    with database.connect_to_write() as connection:
        for name, row in rows.items():
            connection.execute(
                text("insert into settings values (:name, :value, '2026-11-21 00:00:00.000000')"),
                {"name": name, "value": json.dumps(row)},
            )
    migrating.upgrade_to(database, "head")
    database.close()
    with open_store(tmp_path / "data", url=url) as store:
        access = Access(store)
        assert access.of_session(session).is_admin
        assert access.check_link(link) == "admin"
        assert access.of_key(secret).user == "room-3"
        (moved,) = access.keys()
        assert replace(moved, last_used_at=None) == key
        assert access.of_session(access.sign_in("admin", PASSWORD)).is_admin
        with store.database.read() as reading:
            names = set(reading.execute(text("select name from settings")).scalars())
        assert names == {"key_colour", "audit.head"}


def test_a_backup_holds_people_and_the_trail(store: Store, tmp_path: Path) -> None:
    from lingting.store import restore
    from lingting.store.backup import back_up

    access = Access(store)
    access.ensure_administrator()
    access.set_password(access.new_link(), PASSWORD)
    keep(store)
    before = trail(store)
    back_up(store, tmp_path / "b.tar")
    restore(tmp_path / "b.tar", tmp_path / "restored")
    with open_store(tmp_path / "restored") as again:
        assert trail(again) == before
        assert verdict(again) == verdict(store)
        Access(again).sign_in("admin", PASSWORD)
        assert verdict(again).rows == len(before) + 1


# Commands ----------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / "home"))
    runner = CliRunner()

    def run(*words: str) -> tuple[int, str]:
        done = runner.invoke(app, words)
        return done.exit_code, done.output

    return run


def test_the_commands(command: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    assert command("department", "add", "sales")[0] == 0
    assert "sales" in command("department", "list")[1]
    code, told = command("user", "add", "wang", "--department", "sales", "--scope", "admin")
    assert code == 0
    assert "/setup?token=" in told
    assert command("user", "add", "wang")[0] == 2
    assert command("user", "disable", "wang")[0] == 2, "the only administrator"
    assert command("user", "add", "li")[0] == 0
    assert command("user", "disable", "li")[0] == 0
    listed = [json.loads(line) for line in command("user", "list", "--json")[1].splitlines()]
    assert [(one["name"], one["disabled_at"] is None) for one in listed] == [
        ("li", False), ("wang", True),
    ]  # fmt: skip
    assert command("user", "disable", "li", "--undo")[0] == 0
    assert "wang" in command("user", "list")[1]
    assert command("key", "new", "x", "--days", "3")[0] == 0
    assert json.loads(command("key", "list", "--json")[1])["expires_at"] is not None
    told = command("audit", "list", "--json", "--limit", "1000")[1]
    rows = [json.loads(line) for line in told.splitlines()]
    assert [one["action"] for one in reversed(rows)] == [
        "department.added", "user.added", "link.made", "user.added", "link.made",
        "user.disabled", "user.enabled", "key.made",
    ]  # fmt: skip
    assert "user.disabled" in command("audit", "list", "--action", "user.disabled")[1]
    code, told = command("audit", "verify")
    anchor = told.splitlines()[-1]
    assert (code, anchor.partition(":")[0]) == (0, "8")
    assert command("audit", "verify", "--anchor", anchor)[0] == 0
    assert command("audit", "verify", "--anchor", "x")[0] == 2
    with open_store(tmp_path / "home") as store:
        change(store, "delete from audit where id = 3")
    code, told = command("audit", "verify")
    assert code == 1
    assert "row 3 is missing" in told


def test_rows_are_read_in_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_PAGE", 3)
    id = keep(store)
    for at, _ in enumerate(itertools.repeat(None, 4), 1):
        store.delete(id)
        store.undo(id)
        found = verdict(store)
        assert (found.rows, found.bad_id) == (2 * at, None)
