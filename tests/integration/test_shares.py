"""Shares: who reads a recording of somebody else's, for how long, and what they never do."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_parts import Running, running
from sqlalchemy import func, select, update
from store_parts import plain_transcript

from lingting.errors import (
    DepartmentNotFound,
    OptionInvalid,
    RecordingNotFound,
    ShareNotFound,
    UserNotFound,
)
from lingting.server.accounts import Accounts
from lingting.store import (
    History,
    HistoryFilters,
    Search,
    SharedWith,
    Shares,
    Sight,
    Store,
    audit,
    open_store,
)
from lingting.store.backup import back_up, restore
from lingting.store.schema import RecordingShareRow

DEPARTMENTS = ("sales", "法务 部")
WANG, LI = SharedWith("wang", "sales"), SharedWith("li", "法务 部")
ROBOT = SharedWith("robot", "sales", is_person=False)
NOBODY = SharedWith("zhao")


def staffed(store: Store) -> Store:
    accounts = Accounts(store)
    for department in DEPARTMENTS:
        accounts.add_department(department)
    for name, department in (("wang", "sales"), ("li", "法务 部"), ("zhao", None)):
        accounts.add_user(name, department=department)
    accounts.add_user("robot", role="service", department="sales")
    return store


@pytest.fixture
def store(url: str | None, tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "data", url=url) as opened:
        yield staffed(opened)


def kept(store: Store, name: str = "a.wav", owner: str = "olga") -> str:
    said = plain_transcript(2, "客户要求退款{}")
    return store.keep(io.BytesIO(name.encode()), said, name=name, owner=owner).recording.id


def readers(store: Store, id: str) -> set[str]:
    shares = Shares(store.database)
    return {who.user for who in (WANG, LI, ROBOT, NOBODY) if shares.is_open_to(id, who)}


def expired(store: Store, share: str) -> None:
    with store.database.write() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        row = update(RecordingShareRow).where(RecordingShareRow.id == share)
        session.execute(row.values(expires_at=past))


def test_whom_a_share_reaches(store: Store) -> None:
    shares, id, other = Shares(store.database), kept(store), kept(store, "b.wav")
    assert readers(store, id) == set()
    for kind, name, reached in (
        ("user", "wang", {"wang"}), ("user", "robot", {"robot"}),
        ("department", "sales", {"wang"}), ("department", "法务 部", {"li"}),
        ("everyone", None, {"wang", "li", "zhao"}),
    ):  # fmt: skip
        made = shares.add(id, kind, name, made_by="olga")  # type: ignore[arg-type]
        assert (made.to_kind, made.to_name, made.made_by) == (kind, name, "olga")
        assert readers(store, id) == reached
        assert store.recording(id).is_shared
        assert not store.recording(other).is_shared
        assert readers(store, other) == set()
        assert shares.end(id, made.id) == made
        assert readers(store, id) == set()
        assert not store.recording(id).is_shared


def test_once_more_is_the_same_share(store: Store) -> None:
    shares, id = Shares(store.database), kept(store)
    first = shares.add(id, "user", "wang")
    again = shares.add(id, "user", "wang", days=30)
    assert (again.id, first.expires_at) == (first.id, None)
    assert again.expires_at is not None
    left = again.expires_at - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    assert shares.listed(id) == [again]
    assert shares.add(id, "user", "wang").expires_at is None


def test_it_ends_with_its_date(store: Store) -> None:
    shares, id = Shares(store.database), kept(store)
    for made in (shares.add(id, "user", "wang", days=1), shares.add(id, "everyone", days=1)):
        expired(store, made.id)
    assert readers(store, id) == set()
    assert shares.listed(id) == []
    assert not store.recording(id).is_shared
    assert listed(store, WANG) == []
    assert Search(store.database).find("退款", sight=WANG).items == ()
    made = shares.add(id, "user", "li")  # which takes away what is over
    with store.database.read() as session:
        assert session.scalars(select(RecordingShareRow.id)).all() == [made.id]


def test_it_waits_while_the_recording_is_deleted_and_goes_with_a_purge(store: Store) -> None:
    shares, id = Shares(store.database), kept(store)
    shares.add(id, "everyone")
    store.hold(id)  # says nothing about who reads it
    assert readers(store, id) == {"wang", "li", "zhao"}
    store.release(id)
    store.delete(id)
    assert readers(store, id) == set()
    assert listed(store, WANG) == listed(store, WANG, is_deleted=True) == []
    assert Search(store.database).find("退款", sight=WANG).items == ()
    store.undo(id)
    assert readers(store, id) == {"wang", "li", "zhao"}
    store.delete(id)
    store.purge(id)
    with store.database.read() as session:
        assert session.scalar(select(func.count()).select_from(RecordingShareRow)) == 0


def test_what_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shares, id = Shares(store.database), kept(store)
    other = shares.add(kept(store, "b.wav"), "everyone")
    for kind, name, error in (
        ("user", "nobody", UserNotFound), ("user", "a\0", UserNotFound),
        ("user", "\ud800", UserNotFound), ("department", "lab", DepartmentNotFound),
        ("user", None, OptionInvalid), ("department", "", OptionInvalid),
        ("everyone", "wang", OptionInvalid),
    ):  # fmt: skip
        with pytest.raises(error):
            shares.add(id, kind, name)  # type: ignore[arg-type]
    for days in (0, -1, 3_651):
        with pytest.raises(OptionInvalid, match="3650"):
            shares.add(id, "everyone", days=days)
    with pytest.raises(RecordingNotFound):
        shares.add("nothing", "everyone")
    for wrong in (other.id, "x", "\0"):
        with pytest.raises(ShareNotFound):
            shares.end(id, wrong)
    Accounts(store).disable_user("wang")
    with pytest.raises(UserNotFound):
        shares.add(id, "user", "wang")
    monkeypatch.setattr("lingting.store.sharing.MAX_SHARES", 1)
    shares.add(id, "everyone")
    with pytest.raises(OptionInvalid, match="the most"):
        shares.add(id, "user", "li")
    shares.add(id, "everyone", days=3)  # is there


def listed(store: Store, who: Any, **given: Any) -> list[str]:
    page = History(store.database).page(HistoryFilters(**given), sight=who)
    return [one.id for one in page.items]


def test_lists_and_searches_of_what_is_shared(store: Store) -> None:
    """Each recording once, in every order and filter, and nothing that is not shared."""
    shares, history = Shares(store.database), History(store.database)
    ids = [kept(store, f"{at}.wav") for at in range(12)]
    own = kept(store, "own.wav", owner="wang")
    shares.add(own, "department", "sales")  # one's own is nothing that others share
    for at, id in enumerate(ids):
        if at % 2:
            shares.add(id, "user", "wang")
        if at % 3 == 0:
            shares.add(id, "everyone")
        if at % 4 == 0:
            shares.add(id, "department", "法务 部")
    wanted = {
        WANG: [id for at, id in enumerate(ids) if at % 2 or at % 3 == 0],
        LI: [id for at, id in enumerate(ids) if at % 3 == 0 or at % 4 == 0],
        NOBODY: [id for at, id in enumerate(ids) if at % 3 == 0],
        ROBOT: [],
    }
    store.tag(ids[3], add=["x"])
    for who, theirs in wanted.items():
        for order in ("newest", "oldest", "name", "longest", "shortest"):
            found: list[str] = []
            after = None
            while True:
                page = history.page(order=order, sight=who, limit=2, after=after)  # type: ignore[arg-type]
                found += [one.id for one in page.items]
                after = page.next
                if after is None:
                    break
            assert sorted(found) == sorted(theirs), (who, order)
        assert listed(store, who) == theirs[::-1]
        assert listed(store, who, tag="x") == [one for one in theirs if one == ids[3]]
        assert listed(store, who, owner="olga", states=("none",)) == theirs[::-1]
        assert history.page(sight=who, is_counted=True).count == len(theirs)
        hits = Search(store.database).find("退款", sight=who, limit=100)
        assert [one.recording.id for one in hits.items] == theirs[::-1]
        tags = history.facets(sight=who).tags.items
        assert [one.value for one in tags] == (["x"] if ids[3] in theirs else [])
    assert listed(store, Sight("wang")) == [own]


def test_the_trail_says_who_shared_what_with_whom(store: Store) -> None:
    shares, id = Shares(store.database), kept(store)
    made = [
        shares.add(id, "user", "wang", days=7),
        shares.add(id, "department", "法务 部"),
        shares.add(id, "everyone"),
    ]
    for one in made:
        shares.end(id, one.id)
    with store.database.read() as session:
        noted = audit.entries(session, limit=20, object_id=id)[::-1]
        told = [(one.action, one.details) for one in noted]
        assert told == [
            ("share.made", {"share": made[0].id, "to": "user", "user": "wang", "days": 7}),
            ("share.made", {"share": made[1].id, "to": "department", "days": 0}),
            ("share.made", {"share": made[2].id, "to": "everyone", "days": 0}),
            ("share.ended", {"share": made[0].id, "to": "user", "user": "wang"}),
            ("share.ended", {"share": made[1].id, "to": "department"}),
            ("share.ended", {"share": made[2].id, "to": "everyone"}),
        ]
        theirs = audit.entries(session, limit=20, object_id="法务 部")
        assert [(one.action, one.details.get("recording")) for one in theirs[:2]] == [
            ("share.ended", id), ("share.made", id),
        ]  # fmt: skip
        assert audit.verify(session).bad_id is None


def test_a_backup_brings_them_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(tmp_path / "data") as store:
        id = kept(staffed(store))
        made = Shares(store.database).add(id, "department", "sales", days=9)
        back_up(store, tmp_path / "b.tar")
    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / "other"))
    restore(tmp_path / "b.tar")
    with open_store() as store:
        assert Shares(store.database).listed(id) == [made]
        assert readers(store, id) == {"wang"}
        assert store.recording(id).is_shared


# Over HTTP -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("shares") / "data"
    with running(folder, requests_per_minute=0) as found:
        staffed(found.service.store)
        Accounts(found.service.store).add_user("olga", department="sales")
        yield found


def test_shared_listened_to_and_taken_back(service: Running) -> None:
    id = kept(service.service.store, "talk.wav")
    with (
        service.client("read", "write", user="olga") as olga,
        service.client("read", "write", user="wang") as wang,
    ):
        at = f"/recordings/{id}"
        assert wang.get(at).status_code == 404
        made = olga.post(f"{at}/shares", json={"to": {"user": "wang"}, "expires_days": 7})
        assert made.status_code == 201
        share = made.json()
        assert (share["to_kind"], share["to_name"], share["made_by"]) == ("user", "wang", "olga")
        assert wang.get(at).json()["is_shared"]
        assert wang.get(f"{at}/audio").content == b"talk.wav"
        assert wang.get(f"/transcripts/{id}").json()["segments"][0]["text"] == "客户要求退款0"
        assert wang.get(f"/exports/{id}/txt").status_code == 200
        assert wang.post("/exports", json={"recordings": [id]}).status_code == 200
        assert wang.get(f"{at}/notes").json()["items"] == []
        assert wang.get("/recordings").json()["items"] == []
        assert ids(wang.get("/recordings", params={"shared": True})) == [id]
        found = wang.get("/recordings/facets", params={"shared": True}).json()
        assert found["owners"]["items"] == [{"value": "olga", "count": 1}]
        assert wang.post("/search", json={"query": "退款"}).json()["items"] == []
        hits = wang.post("/search", json={"query": "退款", "shared": True}).json()["items"]
        assert [one["recording"]["id"] for one in hits] == [id]
        assert wang.get(f"{at}/shares").status_code == 403
        assert wang.delete(f"{at}/shares/{share['id']}").status_code == 403
        assert wang.post(f"{at}/shares", json={"to": "everyone"}).status_code == 403
        assert [one["id"] for one in olga.get(f"{at}/shares").json()["items"]] == [share["id"]]
        assert olga.delete(f"{at}/shares/{share['id']}").json() == share
        assert wang.get(at).status_code == 404
        assert ids(wang.get("/recordings", params={"shared": True})) == []
        assert olga.delete(f"{at}/shares/{share['id']}").status_code == 404
    with service.service.store.database.read() as session:
        noted = audit.entries(session, limit=500, object_id=id)
    read_by = {one.actor for one in noted if one.action in ("audio.read", "transcript.read")}
    assert read_by == {"wang"}, "what a share opens is noted as all reading is"


def ids(answer: httpx.Response) -> list[str]:
    return [one["id"] for one in answer.json()["items"]]


def test_bodies_that_are_none(service: Running) -> None:
    id = kept(service.service.store, "bodies.wav")
    with service.client("read", "write", user="olga") as olga:
        for wrong in (
            {}, {"to": "all"}, {"to": {}}, {"to": {"user": "wang", "department": "sales"}},
            {"to": {"user": ""}}, {"to": "everyone", "expires_days": 0}, {"to": ["wang"]},
            {"to": "everyone", "expires_days": 3_651}, {"to": "everyone", "more": 1},
            {"to": {"group": "x"}},
        ):  # fmt: skip
            answer = olga.post(f"/recordings/{id}/shares", json=wrong)
            assert answer.status_code == 400, wrong
            assert answer.json()["error"]["code"] == "request.body_invalid"
        unknown = olga.post(f"/recordings/{id}/shares", json={"to": {"user": "nobody"}})
        assert unknown.json()["error"]["code"] == "access.user_not_found"


def test_a_key_reaches_no_further(service: Running) -> None:
    """Of somebody a recording is shared with: what the key may not do, a share does not add."""
    id = kept(service.service.store, "keys.wav")
    Shares(service.service.store.database).add(id, "everyone")
    access = service.service.access
    for scopes, status in ((["read"], 200), (["search"], 403), (["write"], 403)):
        key = access.new_key("test", user="wang", scopes=scopes)[1]
        headers = {"Authorization": f"Bearer {key}"}
        got = httpx.get(f"{service.url}/api/v1/recordings/{id}", headers=headers)
        assert got.status_code == status, scopes
    program = access.new_key("test", user="program", scopes=["read"])[1]  # a name of no user
    headers = {"Authorization": f"Bearer {program}"}
    assert httpx.get(f"{service.url}/api/v1/recordings/{id}", headers=headers).status_code == 404


def test_who_moves_away_reads_no_more(service: Running) -> None:
    store, accounts = service.service.store, Accounts(service.service.store)
    id = kept(store, "moves.wav")
    Shares(store.database).add(id, "department", "法务 部")
    with service.client("read", user="li") as li:
        assert li.get(f"/recordings/{id}").status_code == 200
        accounts.change_user("li", department=None)
        service.service.access._remembered.clear()
        assert li.get(f"/recordings/{id}").status_code == 404
        accounts.change_user("li", department="法务 部")
        service.service.access._remembered.clear()
        assert li.get(f"/recordings/{id}").status_code == 200
