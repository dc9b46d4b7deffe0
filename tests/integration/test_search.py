"""Search on both databases: kept with the text, filtered, paged, over HTTP and by commands."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from server_parts import Running, running
from sqlalchemy import text

from lingting.client import Client
from lingting.errors import ExtraMissing, NotAllowed, OptionInvalid
from lingting.search import has_sounds, sounds, units_of
from lingting.store import Search, SearchFilters, SearchPage, Store, audit, changes, open_store
from lingting.store import search as searching
from lingting.store.backup import back_up, restore
from lingting.store.indexing import fill
from lingting.store.records import Sight
from lingting.store.schema import SearchEntryRow
from lingting.transcript import Segment, Transcript, Word
from tests.integration.store_parts import plain_transcript

Opener = Callable[..., Store]


def said(*texts: str, speaker: str | None = None, language: str = "zh") -> Transcript:
    segments = tuple(
        Segment(float(at), at + 1.0, one, one, language, speaker=speaker, confidence=at / 10)
        for at, one in enumerate(texts)
    )
    return Transcript(segments, float(len(texts)), language)


def keep(store: Store, *texts: str, name: str | None = None, **more: str) -> str:
    given = {one: more.pop(one) for one in ("speaker", "language") if one in more}
    transcript = said(*texts, **given)  # type: ignore[arg-type]
    audio = io.BytesIO(repr((texts, name, more)).encode())
    return store.keep(audio, transcript, name=name or texts[0], **more).recording.id


def find(store: Store, typed: str, **more: object) -> SearchPage:
    return Search(store.database).find(typed, **more)  # type: ignore[arg-type]


def ids(page: SearchPage) -> list[str]:
    return [one.recording.id for one in page.items]


def texts(page: SearchPage) -> list[str]:
    return [hit.text for one in page.items for hit in one.hits]


def marked(page: SearchPage) -> list[str]:
    return [
        hit.text[place.start : place.end]
        for one in page.items
        for hit in one.hits
        for place in hit.places
    ]


# What is found ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "match", "found"),
    [
        ("客户要求退款", "text", ["客户要求退款"]),
        ("户要", "text", ["户要"]),
        ("退款", "text", ["退款"]),
        ("款", "text", ["款"]),
        ("REFUND", "text", ["Refund"]),
        ("refund please", "text", ["Refund", "please"]),
        ("軟體", "text", ["软体"]),
        ("１２３４", "text", ["1234"]),
        ("“用Python写”", "text", ["用python写"]),
        ("tuikuan", "sound", ["退款"]),
        ("tui kuan", "sound", ["退款"]),
        ("刻户", "sound", ["客户"]),
        ("python", "sound", ["python"]),
    ],
)
def test_it_is_found_and_marked(store: Store, typed: str, match: str, found: list[str]) -> None:
    keep(store, "客户要求退款。", "Refund it, please", "软体1234元", "用python写")
    keep(store, "别的话", "other words")
    assert marked(find(store, typed, match=match)) == found
    assert find(store, typed, match=match).count == 1


def test_what_is_not_there_is_not_found(store: Store) -> None:
    keep(store, "客户要求退款。", "国人中的中国", "refund")
    for typed in ("户退", "fund", '"中国人"', '"退款 客户"', "refund 退款"):
        page = find(store, typed)
        assert (page.items, page.next, page.count, page.is_complete) == ((), None, 0, True)


def test_whatever_was_written_is_found(store: Store) -> None:
    """By each of its words, each two characters of Chinese and any longer piece of it."""
    chance = random.Random(5)  # noqa: S311 - makes texts
    said = "中国人民银行要求客户退款流程我们今天来讲课程的是了不重庆，。 "
    letters = ["refund", "Python", "２０２６", "軟體", "Straße", "don't", "한국어", "ไทย"]
    kept: dict[str, str] = {}
    for number in range(60):
        parts = ["".join(chance.choices(said, k=chance.randint(2, 12))) for _ in range(3)]
        parts.insert(chance.randint(0, 3), chance.choice(letters))
        text = f"{chance.choice(['', ' ']).join(parts)} {number}"
        kept[keep(store, text)] = text
    for id, text in kept.items():
        units = units_of(text)
        spans = [(at, at) for at, unit in enumerate(units.texts) if len(unit) > 1]
        spans += [(at, at + 1) for at in range(len(units) - 1)]
        first = chance.randrange(len(units) - 3)
        spans.append((first, chance.randint(first + 2, len(units) - 1)))
        for first, last in chance.sample(spans, min(12, len(spans))):
            piece = text[units.starts[first] : units.ends[last]]
            found = find(store, f'"{piece}"', limit=100)
            assert id in ids(found), piece
            wanted = "".join(units_of(piece).texts)
            for hit in texts(found):
                assert wanted in "".join(units_of(hit).texts)


def test_words_have_times(store: Store) -> None:
    words = tuple(Word(char, 10.0 + n, 10.5 + n) for n, char in enumerate("客户退款"))
    transcript = Transcript(
        (Segment(10.0, 15.0, "客户退款", "客户退款", "zh", words, "ctc"),), 15.0, "zh"
    )
    store.keep(io.BytesIO(b"x"), transcript, name="x")
    ((hit,),) = (one.hits for one in find(store, "退款").items)
    assert (hit.at_s, hit.start_s, hit.places[0].start_s, hit.places[0].end_s) == (
        12.0, 10.0, 12.0, 13.5,
    )  # fmt: skip


def test_the_best_hits_of_a_recording_come_first_in_their_order(store: Store) -> None:
    keep(store, "退款一次", "别的", "退款了又退款", "退款二次", "退款三次")
    page = find(store, "退款", hits=2)
    assert texts(page) == ["退款一次", "退款了又退款"]
    assert (page.items[0].count, page.items[0].is_count_capped, page.count) == (4, False, 4)
    assert [hit.position for hit in page.items[0].hits] == [0, 2]


def test_long_chinese_is_read_as_words_when_nothing_holds_it(store: Store) -> None:
    keep(store, "流程里怎么退款")
    page = find(store, "退款流程")
    assert (marked(page), page.read_as) == (["流程", "退款"], "words")
    keep(store, "退款流程是什么")
    page = find(store, "退款流程")
    assert (marked(page), page.read_as) == (["退款流程"], "given")


# Kept with the text ----------------------------------------------------------------------------


def test_only_the_current_revision_is_found(store: Store) -> None:
    id = keep(store, "客户要求退款", "第二句", "第三句")
    whole = store.transcript(id)
    better = replace(whole.segments[0], text="顾客要求退货")
    store.revise(id, replace(whole, segments=(better, *whole.segments[1:])), based_on=1)
    assert (ids(find(store, "退款")), ids(find(store, "退货"))) == ([], [id])
    assert find(store, "退货").items[0].hits[0].position == 0
    shorter = replace(whole, segments=(whole.segments[2],))
    store.revise(id, shorter, based_on=2)
    assert ids(find(store, "第二句")) == []
    assert find(store, "第三句").items[0].hits[0].position == 0
    store.restore_revision(id, 1)
    assert (ids(find(store, "退款")), ids(find(store, "退货"))) == ([id], [])
    assert store.check().row_faults == ()


def test_what_a_machine_writes_under_a_correction_is_not_found(store: Store) -> None:
    id = keep(store, "机器一", name="same")
    store.revise(id, said("人写的"), based_on=1)
    recording = store.recording(id)
    with store.database.write() as session:
        changes.add_machine_revision(session, recording.id, said("机器二"))
    assert (ids(find(store, "机器二")), ids(find(store, "人写的"))) == ([], [id])


def test_deleted_undone_purged(store: Store) -> None:
    id = keep(store, "客户要求退款")
    store.delete(id)
    assert (ids(find(store, "退款")), find(store, "退款").count) == ([], 0)
    store.undo(id)
    assert ids(find(store, "退款")) == [id]
    store.delete(id)
    store.purge(id)
    assert ids(find(store, "退款")) == []
    with store.database.read() as session:
        assert session.query(SearchEntryRow).count() == 0
        if not store.database.is_sqlite:
            assert session.scalar(text("select count(*) from search_index")) == 0


@pytest.mark.parametrize("url", [None])  # Postgres removes rows with its own VACUUM
def test_a_purge_leaves_no_terms_in_the_file(store: Store) -> None:
    for number in range(30):
        keep(store, f"平常的话{number}")
    id = keep(store, "魑魅魍魉 quincunxes", "魑魅魍魉二")
    needles = [one.encode() for one in ("魑魅", "魅魍", "魍魉", "quincunxes")]
    store.database.forget_removed()
    file = store.folder / "lingting.db"
    assert any(one in file.read_bytes() for one in needles)
    store.delete(id)
    store.purge(id)
    for path in store.folder.glob("lingting.db*"):
        data = path.read_bytes()
        assert [one for one in needles if one in data] == []
    assert find(store, "平常").count == 30


def test_what_failed_to_be_written_is_not_in_the_index(store: Store) -> None:
    class Broken(Exception):
        pass

    def write_and_fail() -> None:
        with store.database.write() as session:
            blob = store.put(io.BytesIO(b"audio"))
            changes.note_blob(session, blob)
            made = changes.add_recording(session, blob.digest, "x", owner=None, department=None)
            changes.add_machine_revision(session, made, said("退款"))
            raise Broken

    with pytest.raises(Broken):
        write_and_fail()
    assert ids(find(store, "退款")) == []
    assert store.check().row_faults == ()


# Filters and permission ------------------------------------------------------------------------


def test_filters(store: Store) -> None:
    first = keep(store, "退款甲", "退款乙", owner="wang", department="sales", speaker="甲方")
    second = keep(store, "退款丙", owner="li", department="help", language="yue")
    store.tag(second, add=["urgent"])
    made = store.recording(second).created_at
    day = timedelta(days=1)
    for filters, found in (
        (SearchFilters(), [second, first]),
        (SearchFilters(owner="wang"), [first]),
        (SearchFilters(department="help"), [second]),
        (SearchFilters(tag="urgent"), [second]),
        (SearchFilters(tag="none"), []),
        (SearchFilters(language="yue"), [second]),
        (SearchFilters(speaker="甲方"), [first]),
        (SearchFilters(speaker="甲"), []),
        (SearchFilters(min_duration_s=1.5), [first]),
        (SearchFilters(max_duration_s=1.5), [second]),
        (SearchFilters(min_confidence=0.05), [first]),
        (SearchFilters(since=made + day), []),
        (SearchFilters(until=made - day), []),
        (SearchFilters(since=made - day, until=made + day), [second, first]),
        (SearchFilters(owner="wang", language="yue"), []),
    ):
        page = find(store, "退款", filters=filters)
        assert ids(page) == found, filters
        assert page.count == sum(one.count for one in page.items), filters


@pytest.mark.parametrize(
    "filters",
    [
        SearchFilters(since=datetime(2026, 1, 1)),  # noqa: DTZ001 - refused for that
        SearchFilters(until=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
    ],
)
def test_a_moment_that_is_none_is_refused(store: Store, filters: SearchFilters) -> None:
    with pytest.raises(OptionInvalid, match="no moment"):
        find(store, "退款", filters=filters)


def test_a_recording_is_found_by_its_name(store: Store) -> None:
    """Unless it is found by its text, too, or something is asked of segments."""
    mine = keep(store, "今天开会", name="Weekly_TALK 100%.wav", owner="mei")
    store.tag(mine, add=["talks"])
    theirs = keep(store, "明天开会", name="weekly_talk.wav", owner="lin")
    keep(store, "后天开会", name="weekly talk.wav", owner="lin")
    gone = keep(store, "去年开会", name="weekly_talk old.wav", owner="mei")
    store.delete(gone)

    def named(typed: str, **more: object) -> list[str]:
        return [one.id for one in find(store, typed, **more).named]

    assert named("weekly_talk") == named(' "weekly_talk" ') == [theirs, mine]
    assert named("100%") == [mine]
    assert named("weekly_talk", filters=SearchFilters(tag="talks")) == [mine]
    assert named("weekly_talk", sight=Sight("lin")) == [theirs]
    assert named("weekly_talk", filters=SearchFilters(speaker="Mei")) == []
    assert named("weekly_talk", limit=1) == [theirs, mine]
    told = keep(store, "weekly talk", name="weekly talk again.wav")
    assert ids(find(store, "weekly talk")) == [told]
    assert told not in named("weekly talk")


def test_filters_may_hold_anything(store: Store) -> None:
    keep(store, "退款")
    for odd in ("\0", "\ud800", "'\"%_\\", "", "x" * 10_000):
        for name in ("language", "speaker", "tag", "owner", "department"):
            assert ids(find(store, "退款", filters=SearchFilters(**{name: odd}))) == []  # type: ignore[arg-type]


def test_only_what_is_seen_is_found_and_counted(store: Store) -> None:
    mine = keep(store, "退款", owner="wang")
    ours = keep(store, "退款 了", owner="li", department="sales")
    theirs = keep(store, "退款 别人的", owner="zhao", department="legal")
    for sight, found in (
        (None, [theirs, ours, mine]),
        (Sight("wang"), [mine]),
        (Sight("wang", frozenset({"sales"})), [ours, mine]),
        (Sight("nobody"), []),
    ):
        page = find(store, "退款", sight=sight)
        assert (ids(page), page.count) == (found, len(found))
        assert ids(find(store, "退款", sight=sight, filters=SearchFilters(owner="zhao"))) == [
            one for one in found if one == theirs
        ]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that looks at few candidates before it stops, or turns round."""
    monkeypatch.setattr(searching, "_FIRST_BLOCK", 4)
    monkeypatch.setattr(searching, "_LARGEST_BLOCK", 8)
    monkeypatch.setattr(searching, "_CANDIDATES", 40)
    monkeypatch.setattr(searching, "_TURN_ROUND", 16)
    monkeypatch.setattr(searching, "COUNTED", 30)


@pytest.mark.usefixtures("narrow")
def test_a_common_word_of_few_recordings_is_found_the_other_way_round(store: Store) -> None:
    mine = [keep(store, f"退款 {n}", owner="wang") for n in range(3)]
    for number in range(60):
        keep(store, f"退款 {number} 号", owner="li")
    page = find(store, "退款", sight=Sight("wang"), limit=2)
    assert (ids(page), page.is_complete) == ([mine[2], mine[1]], True)
    last = find(store, "退款", sight=Sight("wang"), limit=2, after=page.next)
    assert (ids(last), last.next, last.is_complete) == ([mine[0]], None, True)
    assert ids(find(store, "退款", sight=Sight("nobody"))) == []
    sure = SearchFilters(owner="wang", min_confidence=0.5)
    assert ids(find(store, "退款", filters=sure)) == []


@pytest.mark.usefixtures("narrow")
def test_work_is_bounded_and_the_answer_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "_FEW_RECORDINGS", 0)
    mine = []
    for part in range(2):
        mine.append(keep(store, f"退款 wang {part}", owner="wang"))
        for number in range(60):
            keep(store, f"退款 {part} {number} 号", owner="li")
    seen: list[str] = []
    after, rounds = None, 0
    while rounds == 0 or after is not None:
        page = find(store, "退款", filters=SearchFilters(owner="wang"), after=after)
        seen += ids(page)
        after, rounds = page.next, rounds + 1
        assert page.is_complete == (after is None)
    assert rounds > 1
    assert seen == mine[::-1]
    page = find(store, "退款")
    assert (page.count, page.is_count_capped) == (30, True)


def test_many_near_misses_hide_nothing(store: Store) -> None:
    """Segments with all pairs of a phrase, and not the phrase, before one that has it."""
    id = keep(store, *["国人中的中国"] * 60, "中国人在这里", *["国人中的中国"] * 60)
    page = find(store, '"中国人"')
    assert (ids(page), texts(page)) == ([id], ["中国人在这里"])


# Pages -----------------------------------------------------------------------------------------


def test_pages_are_stable_while_others_write(store: Store) -> None:
    kept = [keep(store, f"退款 {n}") for n in range(25)][::-1]
    seen: list[str] = []
    after = None
    for number in range(5):
        page = find(store, "退款", limit=7, after=after)
        assert (page.count is None) == (number > 0)
        seen += ids(page)
        after = page.next
        keep(store, f"退款 新 {number}")
        if number == 1:
            store.delete(kept[15])
        if after is None:
            break
    assert seen == [one for one in kept if one != kept[15]]


def test_a_long_recording_takes_one_place(store: Store) -> None:
    short = keep(store, "退款")
    long_id = store.keep(
        io.BytesIO(b"long"), plain_transcript(700, "退款第{}句"), name="long"
    ).recording.id
    last = keep(store, "退款 后")
    page = find(store, "退款", hits=2)
    assert ids(page) == [last, long_id, short]
    long = page.items[1]
    assert [hit.position for hit in long.hits] == [0, 1]
    assert (long.count, long.is_count_capped, page.count) == (20, True, 702)
    assert find(store, "第599句").items[0].hits[0].position == 599


@pytest.mark.parametrize("after", ["x", "", "W10", "bnVsbA", "WyJhIiwwXQ", "中"])
def test_a_place_that_is_none_is_refused(store: Store, after: str) -> None:
    with pytest.raises(OptionInvalid, match="after"):
        find(store, "退款", after=after)


def test_a_place_that_is_too_deep_is_refused(store: Store) -> None:
    with pytest.raises(OptionInvalid, match="after"):
        find(store, "退款", after=base64.urlsafe_b64encode(b"[" * 100_000).decode())


# Made anew, upgraded, backed up ----------------------------------------------------------------


def test_the_index_is_made_anew(store: Store) -> None:
    kept = [keep(store, f"退款 {n}", "第二句") for n in range(30)]
    with store.database.write() as session:
        session.query(SearchEntryRow).delete()
    assert "reindex" in store.check().row_faults[0]
    assert Search(store.database).rebuild() == 60
    assert store.check().row_faults == ()
    assert ids(find(store, "退款", limit=100)) == kept[::-1]


def test_a_search_says_that_the_index_is_being_made(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        keep(store, f"退款 {number}")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(searching.indexing, "fill", stop)
    with pytest.raises(KeyboardInterrupt):
        Search(store.database).rebuild()
    assert find(store, "退款").is_complete is False
    assert "not whole" in store.check().row_faults[0]
    fresh = keep(store, "退款 新")
    assert ids(find(store, "退款")) == [fresh]
    monkeypatch.setattr(searching.indexing, "fill", fill)
    assert Search(store.database).rebuild() == 4
    assert find(store, "退款").is_complete
    assert find(store, "退款").count == 4


def test_without_pypinyin_text_is_found_and_sounds_come_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as base:
        base.setattr(sounds, "has_sounds", lambda: False)
        base.setattr("lingting.search.has_sounds", lambda: False)
        id = keep(store, "客户要求退款")
        assert ids(find(store, "退款")) == [id]
        with pytest.raises(ExtraMissing, match=r"lingting\[search\]"):
            find(store, "tuikuan", match="sound")
    assert ids(find(store, "tuikuan", match="sound")) == []
    assert Search(store.database).without_sounds() == 1
    with monkeypatch.context() as base:
        base.setattr("lingting.search.has_sounds", lambda: False)
        store.delete(id)
        store.undo(id)
    Search(store.database).rebuild()
    assert ids(find(store, "tuikuan", match="sound")) == [id]
    assert Search(store.database).without_sounds() == 0


def test_a_backup_keeps_the_index(
    store: Store, url: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    id = keep(store, "客户要求退款", "第二句")
    back_up(store, tmp_path / "backup.tar")
    restore(tmp_path / "backup.tar", tmp_path / "other")
    with open_store(tmp_path / "other") as other:
        assert ids(find(other, "要求")) == [id]
        if has_sounds():
            assert ids(find(other, "yaoqiu", match="sound")) == [id]
        assert other.check().row_faults == ()
    if url is None:
        return
    empty = request.getfixturevalue("new_postgres")()
    restore(tmp_path / "backup.tar", tmp_path / "third", url=empty)
    with open_store(tmp_path / "third", url=empty) as third:
        assert ids(find(third, "要求")) == [id]
        fresh = keep(third, "又要求")
        assert ids(find(third, "要求")) == [fresh, id]


# Over HTTP, from Python and by commands --------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "served") as found:
        yield found


def test_over_http(service: Running) -> None:
    store = service.service.store
    mine = keep(store, "客户要求退款", owner="wang")
    theirs = keep(store, "退款 别人", owner="li")
    with service.client("read", user="wang") as wang:
        page = wang.post("/search", json={"query": "退款"}).json()
        (one,) = page["items"]
        assert one["recording"]["id"] == mine
        assert one["hits"][0]["places"] == [{"start": 4, "end": 6, "start_s": None, "end_s": None}]
        assert (page["count"], page["next"], page["is_complete"]) == (1, None, True)
        answer = wang.post("/search", json={"query": "退款", "owner": "li"})
        assert answer.json()["items"] == []
    with service.client() as admin:
        page = admin.post("/search", json={"query": "退款", "limit": 1}).json()
        assert [one["recording"]["id"] for one in page["items"]] == [theirs]
        asked = {"query": "退款", "after": page["next"]}
        page = admin.post("/search", json=asked).json()
        assert [one["recording"]["id"] for one in page["items"]] == [mine]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"query": ""}, 400, "option.invalid"),
        ({"query": "退" * 300}, 400, "option.invalid"),
        ({"query": "x", "after": "no"}, 400, "option.invalid"),
        ({"query": "x", "match": "smell"}, 422, "request.body_invalid"),
        ({"query": "x", "limit": 0}, 422, "request.body_invalid"),
        ({"query": "x", "since": "2026-01-01T00:00:00"}, 422, "request.body_invalid"),
        ({"query": "x", "more": 1}, 422, "request.body_invalid"),
        ({}, 422, "request.body_invalid"),
    ],
)
def test_refusals(service: Running, body: dict[str, object], status: int, code: str) -> None:
    with service.client() as admin:
        answer = admin.post("/search", json=body)
    assert answer.json()["error"]["code"] == code
    assert answer.status_code in (status, 400)


def test_who_may_search(service: Running) -> None:
    with service.client("search", user="wang") as searcher:
        assert searcher.post("/search", json={"query": "退款"}).status_code == 200
        assert searcher.get("/recordings").status_code == 403
    with service.client("write", user="wang") as writer:
        assert writer.post("/search", json={"query": "退款"}).status_code == 403
    assert httpx.post(f"{service.url}/api/v1/search", json={"query": "x"}).status_code == 401


def test_what_is_searched_is_nowhere(
    service: Running, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    keep(service.service.store, "Quincunxes 退款", owner="admin")
    with caplog.at_level(logging.DEBUG), service.client() as admin:
        assert admin.post("/search", json={"query": "quincunxes"}).json()["count"] == 1
        refused = admin.post("/search", json={"query": "quincunxes", "after": "no"})
        assert "uincunxes" not in refused.text
        too_long = admin.post("/search", json={"query": "quincunxes" * 300})
        assert "uincunxes" not in too_long.text
    assert "uincunxes" not in caplog.text + "".join(capfd.readouterr())
    with service.service.store.database.read() as session:
        noted = [one for one in audit.entries(session, limit=100) if one.action == "search"]
    assert [dict(one.details) for one in noted] == [
        {"match": "text", "recordings": 1, "segments": 1}
    ]


def test_the_client(service: Running) -> None:
    store = service.service.store
    id = keep(store, "客户要求退款", owner="admin")
    keep(store, "退款 二", owner="admin")
    with Client(service.url, service.key()) as client:
        page = client.search("退款", limit=1)
        local = find(store, "退款", limit=1)
        assert page == local
        rest = client.search("退款", after=page.next, filters=SearchFilters(language="zh"))
        assert ids(rest) == [id]
        by_name = client.search("退款 二", filters=SearchFilters(owner="admin"))
        assert by_name == find(store, "退款 二", filters=SearchFilters(owner="admin"))
        with pytest.raises(OptionInvalid):
            client.search("")
    with Client(service.url, service.key("write", user="x")) as client, pytest.raises(NotAllowed):
        client.search("退款")


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lingting", *arguments],
        env={**os.environ, "LINGTING_DATA_DIR": str(folder)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_commands(service: Running, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with open_store(folder) as store:
        id = keep(store, "客户要求退款", "又退款")
    done = command(folder, "search", "退款")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [
        f"{id}\t0:00\t客户要求退款\t客户要求退款",
        f"{id}\t0:01\t客户要求退款\t又退款",
    ]
    assert "2 segments hold it" in done.stderr
    done = command(folder, "search", "退款", "--json", "--hits", "1", "--since", "2020-01-01")
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["places"] == [{"start": 4, "end": 6, "start_s": None, "end_s": None}]
    assert command(folder, "search", "没有").stdout == "id\tat\tname\ttext\n"
    done = command(folder, "search", "客户要求", "--speaker", "nobody")
    assert done.stdout == "id\tat\tname\ttext\n"
    with open_store(folder) as store:
        store.rename(id, "Refunds.wav")
    done = command(folder, "search", "refunds")
    assert done.stdout.splitlines()[1:] == [f"{id}\t\tRefunds.wav\t"]
    done = command(folder, "search", "refunds", "--json")
    assert json.loads(done.stdout)["name"] == "Refunds.wav"
    refused = command(folder, "search", "退款", "--until", "soon")
    assert (refused.returncode, "退款" in refused.stderr) == (2, False)
    done = command(folder, "db", "reindex")
    assert "2 segments" in done.stderr
    keep(service.service.store, "那边的退款", owner="admin")
    done = command(
        folder, "search", "退款", "--server", service.url, "--key", service.key(), "--json"
    )
    assert json.loads(done.stdout)["text"] == "那边的退款", done.stderr
