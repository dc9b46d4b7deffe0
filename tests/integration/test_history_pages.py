"""Pages of the history: every filter, order and way to see, against a plain list of what is there.

And what they can be narrowed by, changes of many at once, and names.
"""

import base64
import io
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_parts import Running, running
from sqlalchemy import func, select, update
from store_parts import plain_transcript

from lingting import Client
from lingting.errors import (
    NotAllowed,
    OptionInvalid,
    RecordingNotFound,
    ShareNotFound,
    UserNotFound,
)
from lingting.jobs import Desk
from lingting.server.accounts import Accounts
from lingting.store import (
    History,
    HistoryFilters,
    HistoryPlace,
    Recording,
    Sight,
    Store,
    audit,
    open_store,
)
from lingting.store.listed import Order
from lingting.store.schema import JobRow, RecordingRow, SpeakerRow
from lingting.transcript import Transcript

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
STATES = ("queued", "running", "paused", "done", "failed", "cancelled")
COUNT = 60
Key = Callable[[Recording], Any]


def spoken(count: int, speakers: tuple[str, ...], language: str | None) -> Transcript:
    plain = plain_transcript(count)
    said = tuple(
        replace(one, speaker=who)
        for one, who in zip(plain.segments, itertools.cycle(speakers or (None,)), strict=False)
    )
    return replace(plain, segments=said, language=language, duration_s=count * 10.0)


def dated(store: Store, id: str, made: datetime) -> None:
    """As if it had been kept then."""
    with store.database.write() as session:
        for table, column in (
            (RecordingRow.__table__, "created_at"), (JobRow.__table__, "recorded_at"),
            (SpeakerRow.__table__, "created_at"),
        ):  # fmt: skip
            whose = table.c["id" if table is RecordingRow.__table__ else "recording_id"]
            session.execute(update(table).where(whose == id).values({column: made}))


def filled(store: Store) -> list[Recording]:
    chance = random.Random(7)  # noqa: S311 - makes rows, hides nothing
    desk = Desk(store)
    for number in range(COUNT):
        who: dict[str, Any] = {
            "owner": chance.choice(["wang", "li", "zhao", None]),
            "department": chance.choice(["sales", "law", None]),
        }
        name = f"{chance.choice('aBc录')}-{chance.randint(1, 9)}"
        speakers = tuple(sorted(chance.sample(["甲", "乙", "Anna"], chance.randint(0, 3))))
        audio = io.BytesIO(f"sound {number}".encode())
        if chance.random() < 0.8:
            said = spoken(chance.randint(1, 5), speakers, chance.choice(["zh", "en", "ja", None]))
            id = store.keep(audio, said, name=name, **who).recording.id
        else:  # nobody has read it yet
            id = desk.submit(audio, name=name, **who).recording_id
        for _ in range(chance.choice([0, 1, 2])):
            desk.resubmit(id, owner=who["owner"])
        with store.database.write() as session:
            for job in session.scalars(select(JobRow).where(JobRow.recording_id == id)):
                job.state = chance.choice(STATES)
        # some in the same second, so that ids decide
        dated(store, id, NOON + timedelta(hours=chance.randint(0, COUNT // 2)))
        if tags := chance.sample(["课程", "投诉"], chance.randint(0, 2)):
            store.tag(id, add=tags)
        if chance.random() < 0.2:
            store.delete(id)
    return [store.recording(one) for one in all_ids(store)]


def all_ids(store: Store) -> list[str]:
    with store.database.read() as session:
        return list(session.scalars(select(RecordingRow.id)))


@pytest.fixture
def store(url: str | None, tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "data", url=url) as opened:
        yield opened


def walked(history: History, filters: HistoryFilters, **how: Any) -> list[Recording]:
    """All pages, each but the last full and none empty."""
    found: list[Recording] = []
    after = None
    while True:
        page = history.page(filters, after=after, limit=7, **how)
        found += page.items
        if page.next is None:
            return found
        assert len(page.items) == 7
        after = page.next


def passes(one: Recording, given: HistoryFilters, speakers: dict[str, set[str]]) -> bool:
    state = "none" if one.job is None else one.job.state
    return (
        (one.deleted_at is not None) == given.is_deleted
        and (given.since is None or one.created_at >= given.since)
        and (given.until is None or one.created_at < given.until)
        and (given.language is None or one.language == given.language)
        and (given.speaker is None or given.speaker in speakers[one.id])
        and (given.tag is None or given.tag in one.tags)
        and (not given.states or state in given.states)
        and (given.owner is None or one.owner == given.owner)
        and (given.department is None or one.department == given.department)
        and (given.min_duration_s is None or (one.duration_s or -1) >= given.min_duration_s)
        and (
            given.max_duration_s is None
            or (one.duration_s is not None and one.duration_s <= given.max_duration_s)
        )
    )


FILTERS = [
    HistoryFilters(),
    HistoryFilters(is_deleted=True),
    HistoryFilters(since=NOON + timedelta(hours=9), until=NOON + timedelta(hours=21)),
    HistoryFilters(language="zh"),
    HistoryFilters(speaker="甲"),
    HistoryFilters(tag="课程"),
    HistoryFilters(states=("failed",)),
    HistoryFilters(states=("done",)),
    HistoryFilters(states=("none",)),
    HistoryFilters(states=("queued", "running", "none")),
    HistoryFilters(states=("failed", "failed", "cancelled")),
    HistoryFilters(owner="wang"),
    HistoryFilters(department="law"),
    HistoryFilters(owner="li", department="sales"),
    HistoryFilters(min_duration_s=20.0, max_duration_s=40.0),
    HistoryFilters(tag="投诉", speaker="Anna", language="en"),
    HistoryFilters(speaker="乙", states=("done", "failed"), since=NOON + timedelta(hours=3)),
    HistoryFilters(tag="nobody's"),
]
SIGHTS = [None, Sight("wang"), Sight("li", frozenset({"sales"})), Sight("nobody")]
ORDERS: dict[Order, tuple[Key, bool]] = {
    "newest": (lambda one: (one.created_at, one.id), True),
    "oldest": (lambda one: (one.created_at, one.id), False),
    "name": (lambda one: (one.name, one.id), False),
    "longest": (lambda one: (-1.0 if one.duration_s is None else one.duration_s, one.id), True),
    "shortest": (lambda one: (-1.0 if one.duration_s is None else one.duration_s, one.id), False),
}


def test_every_filter_order_and_sight(store: Store) -> None:
    there, history = filled(store), History(store.database)
    speakers = speakers_of(store, there)
    found_some = 0
    for filters, sight in itertools.product(FILTERS, SIGHTS):
        wanted = [
            one for one in there
            if passes(one, filters, speakers)
            and (sight is None or sight.has(one.owner, one.department))
        ]  # fmt: skip
        for order, (key, is_falling) in ORDERS.items():
            found = walked(history, filters, order=order, sight=sight)
            assert found == sorted(wanted, key=key, reverse=is_falling), (filters, sight, order)
            found_some += bool(found)
        counted = history.page(filters, sight=sight, is_counted=True, limit=1)
        assert (counted.count, counted.is_count_capped) == (len(wanted), False), (filters, sight)
    assert found_some > 150, "filters that nothing passes show little"


def speakers_of(store: Store, there: list[Recording]) -> dict[str, set[str]]:
    return {
        one.id: {
            segment.speaker for segment in store.segments(one.id) if segment.speaker is not None
        } if one.revision else set()
        for one in there
    }  # fmt: skip


def test_what_a_row_shows(store: Store) -> None:
    for one in (there := filled(store)):
        assert one.speakers == len(speakers_of(store, [one])[one.id])
        with store.database.read() as session:
            jobs = session.scalars(
                select(JobRow)
                .where(JobRow.recording_id == one.id)
                .order_by(JobRow.created_at.desc(), JobRow.id.desc())
            ).all()
            assert (one.job is None) == (not jobs)
            if one.job is not None:
                assert (one.job.id, one.job.state) == (jobs[0].id, jobs[0].state)
                assert [job.is_newest for job in jobs] == [True] + [False] * (len(jobs) - 1)
            row = session.get_one(RecordingRow, one.id)
            assert row.language == one.language
    assert {one.language for one in there} >= {"zh", "en", "ja", None}


def test_a_correction_and_a_restored_revision_are_followed(store: Store) -> None:
    id = store.keep(io.BytesIO(b"x"), spoken(3, ("甲", "乙"), "zh"), name="a").recording.id
    history = History(store.database)

    def ids(**given: Any) -> list[str]:
        return [one.id for one in history.page(HistoryFilters(**given)).items]

    assert (ids(speaker="甲"), ids(speaker="乙"), ids(language="zh")) == ([id], [id], [id])
    store.revise(id, spoken(3, ("乙", "Bo"), "en"), based_on=1)
    assert (ids(speaker="甲"), ids(speaker="Bo"), ids(language="zh")) == ([], [id], [])
    assert history.page().items[0].speakers == 2
    store.restore_revision(id, 1)
    assert (ids(speaker="甲"), ids(speaker="Bo"), ids(language="zh")) == ([id], [], [id])
    store.revise(id, spoken(3, ("s" * 10_000, ""), "zh"), based_on=3)  # no index holds that
    assert history.page().items[0].speakers == 0
    store.delete(id)
    store.purge(id)
    with store.database.read() as session:
        assert session.scalar(select(func.count()).select_from(SpeakerRow)) == 0


def test_pages_stay_whole_while_others_write(store: Store) -> None:
    history = History(store.database)
    kept = [
        store.keep(io.BytesIO(b"%d" % at), plain_transcript(1), name=f"{at}").recording.id
        for at in range(9)
    ]
    first = history.page(limit=4)
    store.keep(io.BytesIO(b"new"), plain_transcript(1), name="new")
    store.delete(kept[8])
    second = history.page(limit=4, after=first.next)
    assert [one.id for one in (*first.items, *second.items)] == kept[:0:-1]
    by_name = history.page(limit=4, order="name")
    store.delete(by_name.items[-1].id)  # where the next page begins
    rest = history.page(limit=9, order="name", after=by_name.next)
    assert [one.name for one in rest.items] == ["4", "5", "6", "7", "new"]
    store.purge(by_name.items[-1].id)
    with pytest.raises(OptionInvalid, match="no place"):
        history.page(order="name", after=by_name.next)


def test_places_and_filters_that_cannot_be(store: Store) -> None:
    history = History(store.database)
    with pytest.raises(OptionInvalid, match="no place"):
        history.page(order="oldest", after=HistoryPlace("newest", NOON, "abc"))
    with pytest.raises(OptionInvalid, match="no moment"):
        history.page(HistoryFilters(since=datetime(2026, 1, 1)))  # noqa: DTZ001 - what is refused
    theirs = store.keep(io.BytesIO(b"x"), plain_transcript(1), name="m", owner="li").recording.id
    place = HistoryPlace("name", None, theirs)
    assert history.page(order="name", after=place, sight=Sight("li")).items == []
    with pytest.raises(OptionInvalid, match="no place"):
        history.page(order="name", after=place, sight=Sight("wang"))
    odd = HistoryFilters(speaker="a\0b", tag="\ud800", owner="\0", language="\0")
    assert history.page(odd).items == []


def test_a_count_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingting.store.history.COUNTED", 3)
    for at in range(4):
        store.keep(io.BytesIO(b"%d" % at), plain_transcript(1), name=f"{at}", owner="wang")
        page = History(store.database).page(is_counted=True, sight=Sight("wang"))
        assert (page.count, page.is_count_capped) == (min(at + 1, 3), at == 3)


def test_what_to_narrow_by(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    there, history = filled(store), History(store.database)
    speakers = speakers_of(store, there)
    for sight in SIGHTS:
        seen = [
            one for one in there
            if one.deleted_at is None and (sight is None or sight.has(one.owner, one.department))
        ]  # fmt: skip
        found = history.facets(sight=sight)
        for facet, values in (
            (found.languages, [one.language for one in seen]),
            (found.owners, [one.owner for one in seen]),
            (found.departments, [one.department for one in seen]),
            (found.tags, [tag for one in seen for tag in one.tags]),
            (found.speakers, [who for one in seen for who in speakers[one.id]]),
        ):
            wanted = {(one, values.count(one)) for one in values if one is not None}
            assert {(one.value, one.count) for one in facet.items} == wanted
            counts = [one.count for one in facet.items]
            assert counts == sorted(counts, reverse=True)
            assert facet.is_complete
    monkeypatch.setattr("lingting.store.history.MAX_VALUES", 2)
    assert (len(history.facets().owners.items), history.facets().owners.is_complete) == (2, False)


def test_another_name(store: Store) -> None:
    id = store.keep(io.BytesIO(b"x"), plain_transcript(1), name="a.wav").recording.id
    assert store.rename(id, "  周会\n 11-20 ").name == "周会 11-20"
    assert store.rename(id, "周会 11-20").name == "周会 11-20"
    for wrong in ("", " \t", "x" * 1_001):
        with pytest.raises(OptionInvalid, match="1 to 1000"):
            store.rename(id, wrong)
    with pytest.raises(RecordingNotFound):
        store.rename("nobody", "x")
    with store.database.read() as session:
        (noted,) = audit.entries(session, limit=9, action="recording.renamed")
    assert (noted.object_id, noted.details) == (id, {})


# Over HTTP -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("pages") / "data"
    with running(folder, requests_per_minute=0) as found:
        accounts = Accounts(found.service.store)
        accounts.add_department("sales")
        for name in ("olga", "carl", "mona"):
            role = "manager" if name == "mona" else "member"
            accounts.add_user(name, role=role, department="sales")
        yield found


def kept(service: Running, name: str, owner: str = "olga") -> str:
    return service.service.store.keep(
        io.BytesIO(f"{owner}{name}".encode()), spoken(2, ("甲",), "zh"), name=name,
        owner=owner, department="sales",
    ).recording.id  # fmt: skip


def test_a_list_over_http(service: Running) -> None:
    ids = [kept(service, f"list {at}") for at in range(5)]
    other = kept(service, "list 9", owner="carl")
    with service.client("read", user="olga") as client:
        found: list[str] = []
        after: dict[str, Any] = {}
        while True:
            page = client.get(
                "/recordings",
                params={"limit": 2, "order": "name", "speaker": "甲", "state": ["none", "failed"],
                        "since": "2026-01-01T00:00:00Z", "count": True, **after},
            ).json()  # fmt: skip
            found += [one["id"] for one in page["items"]]
            assert (page["count"], page["is_count_capped"]) == (5, False)
            if page["next"] is None:
                break
            assert len(page["next"]) < 100
            after = {"after": page["next"]}
        assert found == ids
        row = page["items"][0]
        assert (row["speakers"], row["job"], row["is_shared"]) == (1, None, False)
        assert (row["revision"], row["excerpt"][:4], row["language"]) == (1, "第0句话"[:4], "zh")
        assert client.get("/recordings").json()["count"] is None
        facets = client.get("/recordings/facets").json()
        assert facets["owners"] == {"items": [{"value": "olga", "count": 5}], "is_complete": True}
        for wrong in (
            {"order": "size"}, {"state": "lost"}, {"since": "yesterday"}, {"min_duration_s": "-1"},
            {"since": "2026-01-01T00:00:00"}, {"after": after["after"]}, {"after": "x"},
            {"max_duration_s": "inf"}, {"speaker": "x" * 201},
        ):  # fmt: skip
            answer = client.get("/recordings", params=wrong)
            assert answer.status_code == 400, wrong
            assert answer.json()["error"]["code"] in {"option.invalid", "request.body_invalid"}
    with service.client("read", user="mona") as client:
        mine = client.get("/recordings", params={"owner": "carl"}).json()["items"]
        assert [one["id"] for one in mine] == [other]


def test_a_place_has_no_name_in_it(service: Running) -> None:
    """Addresses end in the logs of proxies."""
    for at in range(2):
        kept(service, f"秘密secret {at}", owner="carl")
    with service.client("read", user="carl") as client:
        for order in ORDERS:
            page = client.get("/recordings", params={"limit": 1, "order": order}).json()
            place = page["next"]
            raw = base64.urlsafe_b64decode(place + "=" * (-len(place) % 4)).decode()
            assert "secret" not in raw


def many(client: httpx.Client, action: str, ids: list[str], **more: Any) -> Any:
    return client.post("/recordings/bulk", json={"action": action, "recordings": ids, **more})


def test_many_at_once(service: Running) -> None:
    store = service.service.store
    mine = [kept(service, f"bulk {at}") for at in range(3)]
    theirs = kept(service, "bulk 9", owner="carl")
    store.hold(mine[1])
    with service.client("read", "write", user="olga") as client:
        told = many(client, "delete", [mine[0], mine[1], theirs, "nobody", mine[2], mine[0]]).json()
        assert [(one["id"], one["is_done"]) for one in told["items"]] == [
            (mine[0], True), (mine[1], False), (theirs, False), ("nobody", False), (mine[2], True),
        ]  # fmt: skip
        assert (told["done"], told["refused"]) == (2, 3)
        codes = [one["error"] and one["error"]["code"] for one in told["items"]]
        assert codes == [
            None, "store.recording_held", "store.recording_not_found",
            "store.recording_not_found", None,
        ]  # fmt: skip
        gone = [one for one in mine if store.recording(one).deleted_at is not None]
        assert gone == [mine[0], mine[2]]
        assert store.recording(theirs).deleted_at is None
        assert many(client, "undo", mine).json()["done"] == 3
        assert many(client, "tag", mine[:2], tags=["a", "b"]).json()["done"] == 2
        assert many(client, "untag", mine, tags=["a"]).json()["done"] == 3
        assert [store.recording(one).tags for one in mine] == [("b",), ("b",), ()]
        refused = many(client, "tag", mine[:1], tags=["x" * 101]).json()["items"][0]
        assert refused["error"]["code"] == "option.invalid"
        for wrong in (
            {"action": "tag", "recordings": mine}, {"action": "purge", "recordings": mine},
            {"action": "delete", "recordings": mine, "tags": ["a"]},
            {"action": "delete", "recordings": []}, {"action": "delete"},
            {"action": "delete", "recordings": ["x"] * 501},
        ):  # fmt: skip
            assert client.post("/recordings/bulk", json=wrong).status_code == 400, wrong
    with store.database.read() as session:
        noted = audit.entries(session, limit=500, object_id=mine[0])
    assert [one.action for one in noted if one.by.startswith("key:")] == [
        "recording.tagged", "recording.tagged", "recording.undone", "recording.deleted",
    ]  # fmt: skip
    assert {one.actor for one in noted if one.by.startswith("key:")} == {"olga"}


def test_many_of_a_department(service: Running) -> None:
    """A manager changes what is the department's; a colleague does not, even where it is read."""
    id = kept(service, "of the department")
    accounts = Accounts(service.service.store)
    accounts.share_department("sales", True)
    service.service.access._remembered.clear()
    try:
        with service.client("read", "write", user="carl") as client:
            assert client.get(f"/recordings/{id}").status_code == 200
            (told,) = many(client, "delete", [id]).json()["items"]
            assert told["error"]["code"] == "access.not_allowed"
    finally:
        accounts.share_department("sales", False)
        service.service.access._remembered.clear()
    with service.client("read", "write", user="mona") as client:
        assert many(client, "delete", [id]).json()["done"] == 1
    with service.client("read", user="mona") as client:
        assert many(client, "undo", [id]).status_code == 403


def test_the_client(service: Running) -> None:
    """Everything of the API, as values."""
    store = service.service.store
    first, second = (kept(service, f"client {at}") for at in range(2))
    key = service.key("read", "write", user="olga")
    with Client(service.url, key) as olga:
        filters = HistoryFilters(
            since=NOON - timedelta(days=9), speaker="甲", states=("none", "failed"), owner="olga",
            min_duration_s=1.0,
        )  # fmt: skip
        found: list[Recording] = []
        page = olga.recordings(filters, order="oldest", limit=2, is_counted=True)
        while True:
            found += page.items
            if page.next is None:
                break
            page = olga.recordings(filters, order="oldest", limit=2, after=page.next)
            assert page.count is None
        assert [one.id for one in found[-2:]] == [first, second]
        assert found[-1] == store.recording(second)
        job = Desk(store).resubmit(first, owner="olga")
        waiting = olga.recordings(HistoryFilters(states=("queued",))).items
        assert [one.job and one.job.id for one in waiting] == [job.id]
        assert waiting[0] == store.recording(first) == olga.recording(first)
        assert olga.facets().speakers.items[0].value == "甲"
        assert olga.facets(is_shared=True).languages.items == ()
        assert olga.tag(first, add=["客户"]).tags == ("客户",)
        assert [one.id for one in olga.recordings(tag="客户").items] == [first]
        assert olga.rename(first, "周会").name == "周会"
        done = olga.change_many("delete", [first, "nothing"])
        assert (done.done, done.refused, done.items[0].error) == (1, 1, None)
        assert done.items[1].error is not None
        assert done.items[1].error.code == "store.recording_not_found"
        assert [one.id for one in olga.recordings(is_deleted=True).items][:1] == [first]
        assert olga.change_many("undo", [first]).done == 1
        assert olga.change_many("untag", [first], tags=["客户"]).done == 1
        share = olga.share(first, "user", "carl", days=2)
        everyone = olga.share(second, "everyone")
        assert (share.to_name, everyone.to_name, everyone.expires_at) == ("carl", None, None)
        assert olga.shares(first) == [share]
        with Client(service.url, service.key("read", "write", user="carl")) as carl:
            theirs = carl.recordings(is_shared=True, order="name").items
            assert [one.id for one in theirs] == [second, first]
            hits = carl.search("第0句话", is_shared=True).items
            assert {one.recording.id for one in hits} == {first, second}
            with pytest.raises(NotAllowed):
                carl.shares(first)
            assert olga.end_share(first, share.id) == share
            with pytest.raises(RecordingNotFound):
                carl.recording(first)
        with pytest.raises(UserNotFound):
            olga.share(first, "user", "nobody")
        with pytest.raises(ShareNotFound):
            olga.end_share(first, share.id)
        olga.end_share(second, everyone.id)


def test_a_name_over_http(service: Running) -> None:
    id = kept(service, "old.wav")
    with service.client("read", "write", user="olga") as client:
        assert client.patch(f"/recordings/{id}", json={"name": "新 名"}).json()["name"] == "新 名"
        for wrong in ({"name": ""}, {"name": "  "}, {"name": "x" * 1_001}, {}, {"id": "x"}):
            assert client.patch(f"/recordings/{id}", json=wrong).status_code == 400
    with service.client("read", "write", user="carl") as client:
        assert client.patch(f"/recordings/{id}", json={"name": "x"}).status_code == 404
