"""Two who change the same thing at once on Postgres: one waits for the other, and both are right.

The first is stopped behind a statement, with the locks it has by then, until the second waits for
one of them or is done. On SQLite one writes at a time, so there is nothing to meet.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from lingting.errors import RecordingNotFound
from lingting.jobs import Desk, Job
from lingting.store import RetentionRule, Store, open_store, work
from lingting.store.changes import now
from lingting.transcript import Transcript
from tests.integration.store_parts import plain_transcript

WITHIN_S = 30.0


@pytest.fixture
def store(new_postgres: Callable[[], str], tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "data", url=new_postgres()) as opened:
        yield opened


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def meet(
    store: Store, first: Callable[[], Any], behind: str, second: Callable[[], Any]
) -> tuple[Any, Any]:
    """What both gave or raised; the first stops once, behind the statement with these words."""
    stopped, second_began, second_ended = (threading.Event() for _ in range(3))
    thread: list[int] = []

    def stop(_: object, __: object, statement: str, *___: object) -> None:
        if threading.get_ident() not in thread or stopped.is_set():
            return
        if behind in " ".join(statement.split()):
            stopped.set()
            assert second_began.wait(WITHIN_S)
            until(lambda: second_ended.is_set() or is_somebody_waiting(store))

    def begin_first() -> Any:
        thread.append(threading.get_ident())
        return outcome(first)

    def begin_second() -> Any:
        assert stopped.wait(WITHIN_S), "the first never came to its statement"
        second_began.set()
        found = outcome(second)
        second_ended.set()
        return found

    event.listen(Engine, "after_cursor_execute", stop)
    try:
        with ThreadPoolExecutor(2) as pool:
            one, two = pool.submit(begin_first), pool.submit(begin_second)
            return one.result(WITHIN_S), two.result(WITHIN_S)
    finally:
        event.remove(Engine, "after_cursor_execute", stop)


def outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except Exception as exc:
        return exc


def is_somebody_waiting(store: Store) -> bool:
    query = text(
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock'"
    )
    with store.database.read() as session:
        return bool(session.scalar(query))


def until(is_so: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def keep(store: Store, name: str = "a.wav", transcript: Transcript | None = None) -> str:
    given = transcript or plain_transcript(3)
    return store.keep(io.BytesIO(name.encode()), given, name=name).recording.id


def submit(desk: Desk, name: str, **more: Any) -> Job:
    return desk.submit(io.BytesIO(name.encode()), name=name, **more)


def claim(desk: Desk, count: int) -> list[work.Claim]:
    with desk.store.database.write() as session:
        return work.claim(session, "w1", count)


def two_jobs(desk: Desk) -> tuple[Job, Job]:
    """Of one batch: the older one has the larger id, so queue and ids are in opposite order."""
    while True:
        batch = desk.open_batch("x")
        older, newer = (submit(desk, name, batch_id=batch.id) for name in ("a", "b"))
        if older.id > newer.id:
            return older, newer
        desk.cancel_batch(batch.id)


def test_a_purge_and_the_end_of_a_job(desk: Desk, store: Store) -> None:
    job = submit(desk, "a")
    (claimed,) = claim(desk, 1)
    store.delete(job.recording_id)

    def finish() -> int:
        with store.database.write() as session:
            return work.finish(session, job.id, claimed.epoch, plain_transcript(3), b"\1\2")

    ended, receipt = meet(
        store, finish, "FROM jobs WHERE jobs.id", lambda: store.purge(job.recording_id)
    )
    assert ended == 1
    assert (receipt.revisions, receipt.segments, receipt.audio) == (1, 3, "removed")
    assert store.check().is_healthy


def test_the_end_of_a_job_behind_a_purge_is_too_late(desk: Desk, store: Store) -> None:
    job = submit(desk, "a")
    (claimed,) = claim(desk, 1)
    store.delete(job.recording_id)

    def finish() -> int:
        with store.database.write() as session:
            return work.finish(session, job.id, claimed.epoch, plain_transcript(3), None)

    receipt, ended = meet(
        store, lambda: store.purge(job.recording_id), "FROM transcripts", finish
    )  # fmt: skip
    assert isinstance(ended, work.ClaimLost)
    assert (receipt.revisions, receipt.audio) == (0, "removed")


def test_keeping_again_and_a_deletion(store: Store) -> None:
    id = keep(store)
    kept, deleted = meet(
        store,
        lambda: keep(store, transcript=plain_transcript(4)),
        "UPDATE recordings",
        lambda: store.delete(id),
    )
    assert (kept, deleted.id) == (id, id)
    assert store.recording(id).deleted_at is not None
    assert store.recording(id).revision == 2


def test_workers_and_a_batch_that_is_cancelled(desk: Desk, store: Store) -> None:
    older, newer = two_jobs(desk)
    assert older.batch_id is not None
    claims, batch = meet(
        store,
        lambda: claim(desk, 2),
        "FROM jobs JOIN recordings",
        lambda: desk.cancel_batch(older.batch_id),
    )
    assert [one.job_id for one in claims] == [older.id]
    assert batch.counts == {"cancelled": 2}
    assert desk.job(newer.id).attempts == 0


def test_retention_and_a_batch_that_is_cancelled(desk: Desk, store: Store) -> None:
    older, newer = two_jobs(desk)
    for one in (older, newer):
        store.delete(one.recording_id)
    store.set_retention([RetentionRule(purge_after_days=1)])
    report, batch = meet(
        store,
        lambda: store.apply_retention(now() + timedelta(days=2)),
        "FROM jobs WHERE jobs.recording_id",
        lambda: desk.cancel_batch(older.batch_id),
    )
    assert {one.recording_id for one in report.receipts} == {
        older.recording_id, newer.recording_id,
    }  # fmt: skip
    assert batch.counts == {}


def test_a_purge_and_another_job_for_the_recording(desk: Desk, store: Store) -> None:
    id = keep(store)
    store.delete(id)
    receipt, refused = meet(
        store, lambda: store.purge(id), "DELETE FROM jobs", lambda: desk.resubmit(id)
    )
    assert receipt.recording_id == id
    assert isinstance(refused, RecordingNotFound)


def test_the_first_jobs_of_an_owner(desk: Desk, store: Store) -> None:
    one, two = meet(
        store,
        lambda: submit(desk, "a", owner="new"),
        "INSERT INTO job_shares",
        lambda: submit(desk, "b", owner="new"),
    )
    assert {one.state, two.state} == {"queued"}
    assert [one.owner, two.owner] == ["new", "new"]


def test_an_undo_and_a_purge(store: Store) -> None:
    id = keep(store)
    store.delete(id)
    refused, receipt = meet(
        store, store.undo, "ORDER BY recordings.deleted_at DESC", lambda: store.purge(id)
    )
    assert isinstance(refused, RecordingNotFound)
    assert receipt.recording_id == id


def test_a_batch_that_is_paused_while_a_job_comes(desk: Desk) -> None:
    batch = desk.open_batch("x")
    job, _ = meet(
        desk.store,
        lambda: submit(desk, "a", batch_id=batch.id),
        "FROM batches",
        lambda: desk.pause_batch(batch.id),
    )
    assert desk.job(job.id).state == "paused"


def test_a_setting_that_two_set_first(store: Store) -> None:
    one, two = meet(
        store,
        lambda: store.set_setting("colour", "red"),
        "INSERT INTO settings",
        lambda: store.set_setting("colour", "blue"),
    )
    assert (one, two) == (None, None)
    assert store.setting("colour") == "blue"
