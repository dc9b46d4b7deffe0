"""Retention rules, legal holds, and what is left of a recording that was purged."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from lingting.errors import (
    OptionInvalid,
    OptionUnknown,
    RecordingHeld,
    RecordingNotFound,
    StoreBusy,
)
from lingting.store import RetentionRule, Store, all_recordings, open_store
from lingting.store.blobs import FolderBlobs
from lingting.store.retention import parse_rules
from lingting.store.schema import Base, RecordingRow
from lingting.transcript import Edit, Segment, Transcript, Word
from tests.integration.store_parts import plain_transcript

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def keep(
    store: Store, name: str, age_days: float = 0, *, owner: str | None = None,
    department: str | None = None, tags: tuple[str, ...] = (), audio: bytes | None = None,
) -> str:  # fmt: skip
    """A recording that was kept so long before NOW."""
    made = store.keep(
        io.BytesIO(audio or name.encode()), plain_transcript(2), name=name, owner=owner,
        department=department,
    )  # fmt: skip
    id = made.recording.id
    store.tag(id, add=tags)
    with store.database.write() as session:
        session.execute(
            update(RecordingRow)
            .where(RecordingRow.id == id)
            .values(created_at=NOW - timedelta(days=age_days))
        )
    return id


def names(store: Store, *, is_deleted: bool = False) -> set[str]:
    return {one.name for one in all_recordings(store, is_deleted=is_deleted)}


def days(count: float) -> datetime:
    return NOW + timedelta(days=count)


def test_without_rules_everything_stays(store: Store) -> None:
    keep(store, "old", 9_999)
    report = store.apply_retention(NOW)
    assert (report.deleted, report.receipts, report.held, report.is_done) == ((), (), 0, True)
    assert names(store) == {"old"}


def test_deleted_after_days_and_purged_after_more(store: Store) -> None:
    old, young = keep(store, "old", 31), keep(store, "young", 29)
    store.set_retention([RetentionRule(delete_after_days=30, purge_after_days=7)])
    assert store.due(NOW) == (1, 0, 0)
    assert store.apply_retention(NOW).deleted == (old,)
    assert (names(store), names(store, is_deleted=True)) == ({"young"}, {"old"})
    assert store.apply_retention(NOW).deleted == ()  # once
    assert store.apply_retention(days(6.9)).receipts == ()
    digest = store.recording(old).digest
    (receipt,) = store.apply_retention(days(7)).receipts
    assert (receipt.recording_id, receipt.author, receipt.audio) == (old, "retention", "removed")
    assert not store.blobs.has(digest)
    assert store.apply_retention(days(7)).receipts == ()
    assert store.receipts() == [receipt]
    assert names(store, is_deleted=True) == {"young"}  # 36 days old by then
    assert store.undo(young).id == young


def test_what_a_person_deleted_is_purged_too(store: Store) -> None:
    id = keep(store, "a")
    store.delete(id)
    store.set_retention([RetentionRule(purge_after_days=3)])
    assert store.apply_retention().receipts == ()
    (receipt,) = store.apply_retention(datetime.now(UTC) + timedelta(days=3)).receipts
    assert receipt.recording_id == id


def test_the_first_rule_that_fits_decides(store: Store) -> None:
    keep(store, "contract", 999, tags=("contract",), department="sales")
    keep(store, "sales", 31, department="sales")
    keep(store, "young sales", 29, department="sales")
    keep(store, "both", 11, department="sales", owner="Wang")
    keep(store, "Wang's", 31, owner="Wang")
    keep(store, "nobody's", 366)
    keep(store, "nobody's young", 364)
    store.set_retention(
        [
            RetentionRule(tag="contract"),
            RetentionRule(owner="Wang", department="sales", delete_after_days=10),
            RetentionRule(department="sales", delete_after_days=30),
            RetentionRule(delete_after_days=365),
        ]
    )
    store.apply_retention(NOW)
    assert names(store, is_deleted=True) == {"sales", "both", "nobody's"}
    assert names(store) == {"contract", "young sales", "Wang's", "nobody's young"}


def test_a_hold_is_stronger_than_people_and_rules(store: Store) -> None:
    id = keep(store, "evidence", 99)
    held = store.hold(id, author="法务")
    assert (held.held_by, held.held_at is not None) == ("法务", True)
    assert store.hold(id, author="another") == held
    with pytest.raises(RecordingHeld):
        store.delete(id)
    store.set_retention([RetentionRule(delete_after_days=1, purge_after_days=1)])
    report = store.apply_retention(NOW)
    assert (report.deleted, report.held, report.is_done) == ((), 1, True)
    assert store.due(NOW) == (0, 0, 1)
    assert store.revise(id, plain_transcript(1), based_on=1) == 2  # correcting removes nothing
    free = store.release(id)
    assert (free.held_by, free.held_at) == (None, None)
    assert store.release(id) == free
    assert store.apply_retention(NOW).deleted == (id,)


def test_a_hold_on_what_is_deleted_already(store: Store) -> None:
    id = keep(store, "evidence", 99)
    store.delete(id)
    store.hold(id)
    with pytest.raises(RecordingHeld):
        store.purge(id)
    store.set_retention([RetentionRule(purge_after_days=0)])
    report = store.apply_retention(datetime.now(UTC) + timedelta(days=1))
    assert (report.receipts, report.held) == ((), 1)
    store.undo(id)
    assert names(store) == {"evidence"}


def test_small_steps_and_going_on(store: Store) -> None:
    for at in range(45):
        keep(store, f"{at}", 10 + at)
    store.set_retention([RetentionRule(delete_after_days=1, purge_after_days=1)])
    reports = [store.apply_retention(NOW, limit=30) for _ in range(3)]
    assert [len(one.deleted) for one in reports] == [30, 15, 0]
    assert [one.is_done for one in reports] == [False, True, True]
    reports = [store.apply_retention(days(1), limit=30) for _ in range(3)]
    assert [len(one.receipts) for one in reports] == [30, 15, 0]
    assert list(store.blobs.digests()) == []


def test_two_at_once_share_the_work(store: Store) -> None:
    for at in range(60):
        keep(store, f"{at}", 10)
    store.set_retention([RetentionRule(delete_after_days=1, purge_after_days=0)])
    found: list[object] = []

    def work() -> None:
        try:
            for _ in range(4):
                found.append(store.apply_retention(NOW))
        except BaseException as exc:
            found.append(exc)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [one for one in found if isinstance(one, BaseException)] == []
    while not store.apply_retention(NOW).is_done or names(store, is_deleted=True):
        pass
    assert len(store.receipts()) == 60
    assert len({one.recording_id for one in store.receipts()}) == 60
    assert store.check(audio=True).is_healthy


def test_a_hold_that_comes_while_the_rules_are_applied(store: Store) -> None:
    """Many holds and a purge of everything at once: each recording is either held or purged."""
    ids = [keep(store, f"{at}", 10) for at in range(60)]
    for id in ids:
        store.delete(id)
    store.set_retention([RetentionRule(purge_after_days=0)])
    held, gone = set(), set()

    def hold() -> None:
        for id in random.sample(ids, len(ids)):
            try:
                held.add(store.hold(id).id)
            except RecordingNotFound:
                gone.add(id)

    thread = threading.Thread(target=hold)
    thread.start()
    while thread.is_alive():
        store.apply_retention(datetime.now(UTC))
    thread.join()
    store.apply_retention(datetime.now(UTC))
    purged = {one.recording_id for one in store.receipts()}
    assert held | purged == set(ids)
    assert held & purged == set()
    assert purged >= gone


KILLED = """
import sys
from datetime import datetime, UTC
from lingting.store import open_store
store = open_store(sys.argv[1], url=sys.argv[2] or None)
print("begun", flush=True)
while True:
    store.apply_retention(datetime.fromisoformat(sys.argv[3]), limit=5)
    print("round", flush=True)
"""


def test_killed_in_the_middle_it_goes_on(store: Store, url: str | None, tmp_path: Path) -> None:
    for at in range(60):
        keep(store, f"{at}", 10)
    store.set_retention([RetentionRule(delete_after_days=1, purge_after_days=0)])
    for rounds in (1, 3, 4):
        program = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "data"), url or "", NOW.isoformat()],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert program.stdout is not None
        for _ in range(rounds + 1):
            program.stdout.readline()
        program.kill()
        program.wait(30)
        program.stdout.close()
    while store.apply_retention(NOW).receipts or names(store, is_deleted=True):
        pass
    receipts = store.receipts()
    assert len(receipts) == len({one.recording_id for one in receipts}) == 60
    assert {one.audio for one in receipts} == {"removed"}
    assert list(store.blobs.digests()) == []
    assert store.check(audio=True).is_healthy


def test_a_backup_lets_text_go_and_keeps_audio(store: Store) -> None:
    id = keep(store, "a")
    digest = store.delete(id).digest
    with store.audio_stays():
        assert store.purge(id).audio == "pending"
        assert store.blobs.has(digest)
        assert names(store, is_deleted=True) == set()
    (receipt,) = store.apply_retention(NOW).receipts
    assert (receipt.recording_id, receipt.audio) == (id, "removed")
    assert not store.blobs.has(digest)


def test_audio_that_came_back_while_its_purge_waited(store: Store) -> None:
    id = keep(store, "a", audio=b"same")
    store.delete(id)
    with store.audio_stays():
        store.purge(id)
    again = keep(store, "b", audio=b"same")
    (receipt,) = store.sweep()
    assert receipt.audio == "shared"
    assert store.blobs.has(store.recording(again).digest)


def test_only_one_machine_removes_or_copies(
    new_postgres: Callable[[], str], tmp_path: Path
) -> None:
    """Two machines share a Postgres server and no folder; on one machine there is the lock file."""
    url = new_postgres()
    with (
        open_store(tmp_path / "here", url=url) as here,
        open_store(tmp_path / "there", url=url) as there,
    ):
        with there.audio_stays(), pytest.raises(StoreBusy), here.audio_stays(timeout_s=0.1):
            pass
        with here.audio_stays(timeout_s=0.1):
            pass


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ([{"delete_after_days": -1}], OptionInvalid),
        ([{"delete_after_days": float("nan")}], OptionInvalid),
        ([{"delete_after_days": "3"}], OptionInvalid),
        ([{"purge_after_days": True}], OptionInvalid),
        ([{"tag": 3}], OptionInvalid),
        ([{"delete_after": 3}], OptionUnknown),
        ([3], OptionInvalid),
        ({"delete_after_days": 3}, OptionInvalid),
        ([{}] * 101, OptionInvalid),
    ],
)
def test_wrong_rules(rules: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_rules(rules)


def test_rules_are_read_back(store: Store) -> None:
    rules = (
        RetentionRule(tag="合同"),
        RetentionRule(delete_after_days=0.5, purge_after_days=0, owner="o", department="d"),
    )
    store.set_retention(rules)
    assert store.retention() == rules
    store.set_retention([])
    assert store.retention() == ()


# What is left ----------------------------------------------------------------------------------

SAID = "Quincunxes"


def telling(count: int, chance: random.Random) -> Transcript:
    """Says SAID wherever a transcript can say something."""

    def segment(at: int) -> Segment:
        text = f"{SAID} {at} " + "x" * chance.randrange(400)
        return Segment(
            float(at), at + 1.0, text, text, SAID[:8], (Word(SAID, float(at), at + 0.5),), "ctc",
            (Edit(0, 1, 0, 1, SAID),), 0.5, SAID, 0, SAID, (SAID,), (SAID,),
        )  # fmt: skip

    return Transcript(tuple(segment(at) for at in range(count)), float(count), notes=(SAID,))


def found_in(folder: Path, wanted: str) -> list[str]:
    return sorted(
        path.name for path in folder.rglob("*")
        if path.is_file() and wanted.encode() in path.read_bytes()
    )  # fmt: skip


def test_nothing_of_a_purged_recording_is_on_the_disk(tmp_path: Path) -> None:
    """Between others that stay, corrected, tagged, held: pages were split, moved and filled."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    chance = random.Random(seed)  # noqa: S311 - chooses sizes, hides nothing
    with open_store(tmp_path) as store:
        gone = []
        for at in range(60):
            is_gone = at % 3 == 0
            said = telling(chance.randrange(1, 40), chance) if is_gone else plain_transcript(9)
            kept = store.keep(
                io.BytesIO(f"{SAID} audio {at}".encode() if is_gone else b"%d" % at), said,
                name=f"{SAID} {at}.wav" if is_gone else f"{at}.wav",
                owner=SAID if is_gone else None, department=SAID if is_gone else None,
                peaks=SAID.encode() if is_gone else b"peaks",
            )  # fmt: skip
            if is_gone:
                id = kept.recording.id
                gone.append(id)
                store.revise(id, telling(7, chance), based_on=1, author=SAID)
                store.restore_revision(id, 1, author=SAID)
                store.tag(id, add=[f"{SAID} {at}"])
                store.hold(id, author=SAID)
                store.release(id)
        before = {one.id: store.transcript(one.id) for one in all_recordings(store)}
        assert "lingting.db" in found_in(tmp_path, SAID)
        for id in chance.sample(gone, len(gone)):
            store.delete(id)
            store.purge(id)
        assert found_in(tmp_path, SAID) == []
        after = {one.id: store.transcript(one.id) for one in all_recordings(store)}
        assert after == {id: said for id, said in before.items() if id not in gone}
    assert found_in(tmp_path, SAID) == []


def test_a_reader_delays_only_the_log(tmp_path: Path) -> None:
    """Who reads an older state keeps SQLite's log; the next run empties it."""
    with open_store(tmp_path) as store:
        id = store.keep(
            io.BytesIO(b"a"),
            telling(30, random.Random(1)),  # noqa: S311
            name="a",
        ).recording.id
        with store.database.read() as session:
            session.scalar(select(func.count()).select_from(RecordingRow))
            store.delete(id)
            assert store.purge(id).audio == "removed"
            assert found_in(tmp_path, SAID) != []
        store.sweep()
        assert found_in(tmp_path, SAID) == []


def test_a_purge_takes_jobs_and_what_they_heard(store: Store) -> None:
    """Of every table that points at recordings, only receipt and trail stay."""
    from lingting.jobs import Desk, JobOptions
    from lingting.store import work

    desk = Desk(store)
    job = desk.submit(
        io.BytesIO(b"audio"), name=f"{SAID}.wav", options=JobOptions(prompt=SAID), owner="o"
    )
    with store.database.write() as session:
        (claim,) = work.claim(session, "w", 1)
        work.save_group(
            session, claim.job_id, claim.epoch, number=0, clips=1, end_s=1.0, total_s=2.0,
            segments=[{"text": SAID}], state={"said": SAID},
        )  # fmt: skip
    id = desk.job(job.id).recording_id
    store.delete(id)
    store.purge(id)
    with store.database.read() as session:
        for table in Base.metadata.sorted_tables:
            for row in session.execute(select(table)).all():
                assert SAID not in str(row), table.name
                assert table.name in {"receipts", "audit"} or id not in str(row), table.name
    if store.database.is_sqlite:
        assert found_in(store.folder, SAID) == []


# Previews --------------------------------------------------------------------------------------


def test_a_preview_is_made_once(store: Store) -> None:
    first, second = keep(store, "a", audio=b"same"), keep(store, "b", audio=b"same")
    made = []

    def make(path: Path) -> bytes:
        made.append(path.read_bytes())
        return b"\x80\x7f"

    assert store.preview(first) is None
    assert store.preview(first, make) == b"\x80\x7f"
    assert store.preview(second, make) == b"\x80\x7f"
    assert store.preview(second) == b"\x80\x7f"
    assert made == [b"same"]
    with pytest.raises(RecordingNotFound):
        store.preview("nothing")


def test_a_pending_purge_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob store that is down delays the audio, not the text."""
    from lingting.errors import StoreUnreachable

    def down(*_: object) -> None:
        raise StoreUnreachable("It is down.")

    id = keep(store, "a")
    store.delete(id)
    with monkeypatch.context() as patch:
        patch.setattr(FolderBlobs, "remove", down)
        assert store.purge(id).audio == "pending"
    assert [one.audio for one in store.sweep()] == ["removed"]
