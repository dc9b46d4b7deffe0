"""The same request again, on both databases: one job while it is fresh, and never what is gone."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from lingting.errors import RequestConflict, StorageQuotaSpent
from lingting.jobs import Desk, Job, JobOptions
from lingting.jobs.repeats import Ask, heard, passing, submit_once
from lingting.store import Store, work
from lingting.transcript import Segment
from tests.integration.store_parts import rich_transcript

ASK = Ask(JobOptions(), "talk.mp3", owner="li", by="key:one")
WINDOW = timedelta(minutes=10)
LONG_AGO = timedelta(0)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def ask(
    desk: Desk, given: Ask = ASK, *, audio: bytes = b"sound", within: timedelta = WINDOW
) -> Job:
    blob = desk.store.put(io.BytesIO(audio))
    return submit_once(desk, blob, given, within=within, check=lambda: None)


def claimed(desk: Desk) -> work.Claim:
    with desk.store.database.write() as session:
        (found,) = work.claim(session, "w1", 1)
    return found


def finished(desk: Desk) -> None:
    one = claimed(desk)
    with desk.store.database.write() as session:
        work.finish(session, one.job_id, one.epoch, rich_transcript(), None)


def test_the_same_is_the_same_and_anything_else_is_not(desk: Desk) -> None:
    first = ask(desk)
    assert (first.priority, first.owner, first.name) == ("high", "li", "talk.mp3")
    assert ask(desk, replace(ASK, name="tmp123.mp3")).id == first.id
    others = [
        replace(ASK, options=JobOptions(language="de")),
        replace(ASK, by="key:two"),
        replace(ASK, owner="wang"),
        replace(ASK, is_kept=False),
    ]
    ids = [ask(desk, one).id for one in others] + [ask(desk, audio=b"other").id]
    assert len({first.id, *ids}) == 1 + len(ids)


def test_a_job_that_is_done_stands_for_a_while(desk: Desk) -> None:
    first = ask(desk)
    assert claimed(desk).priority == "high"
    desk.cancel(first.id)
    assert ask(desk).id == first.id
    finished(desk)
    assert ask(desk).id == first.id
    assert desk.job(first.id).state == "done"
    second = ask(desk, within=LONG_AGO)
    assert second.id != first.id
    assert ask(desk).id == second.id


def test_what_failed_or_was_cancelled_goes_on(desk: Desk) -> None:
    first = ask(desk)
    desk.cancel(first.id)
    assert ask(desk).state == "queued"
    one = claimed(desk)
    with desk.store.database.write() as session:
        work.fail(session, one.job_id, one.epoch, "engine.failed", "It failed.")
    again = ask(desk)
    assert (again.id, again.state, again.error) == (first.id, "queued", None)


def test_what_was_deleted_or_purged_is_done_anew(desk: Desk) -> None:
    first = ask(desk)
    finished(desk)
    desk.store.delete(first.recording_id)
    second = ask(desk)
    assert second.recording_id != first.recording_id
    desk.store.purge(first.recording_id)
    finished(desk)
    desk.store.delete(second.recording_id)
    desk.store.purge(second.recording_id)
    third = ask(desk)
    assert third.state == "queued"
    assert third.id not in {first.id, second.id}


def test_an_idempotency_key_stands_for_ever_and_for_one_request(desk: Desk) -> None:
    keyed = replace(ASK, idempotency_key="k" * 500)
    first = ask(desk, keyed)
    finished(desk)
    assert ask(desk, keyed, within=LONG_AGO).id == first.id
    with pytest.raises(RequestConflict):
        ask(desk, keyed, audio=b"other")
    assert ask(desk, replace(keyed, by="key:two"), audio=b"other").id != first.id


def test_at_the_same_time_it_is_one(desk: Desk) -> None:
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda _: ask(desk), range(6)))
    assert len({one.id for one in found}) == 1
    assert len(desk.jobs()) == 1


def test_a_refusal_is_for_new_ones_only(desk: Desk) -> None:
    def refuse() -> None:
        raise StorageQuotaSpent("Nothing more.", retry_after_s=1.0)

    blob = desk.store.put(io.BytesIO(b"sound"))
    with pytest.raises(StorageQuotaSpent):
        submit_once(desk, blob, ASK, within=WINDOW, check=refuse)
    assert desk.jobs() == []
    first = ask(desk)
    assert submit_once(desk, blob, ASK, within=WINDOW, check=refuse).id == first.id


def test_what_is_not_kept_is_a_recording_of_its_own_and_found_later(desk: Desk) -> None:
    kept = ask(desk)
    finished(desk)
    gone = ask(desk, replace(ASK, is_kept=False))
    assert gone.recording_id != kept.recording_id
    assert passing(desk.store, older=LONG_AGO) == []
    finished(desk)
    assert passing(desk.store, older=WINDOW) == []
    assert passing(desk.store, older=LONG_AGO) == [gone.recording_id]


def test_what_is_heard_so_far_is_read_group_by_group(desk: Desk) -> None:
    first = ask(desk)
    one = claimed(desk)
    assert heard(desk, first.id, 0) == ([], 0)
    for number in range(2):
        segment = {"start_s": number, "end_s": number + 1, "text": f"n\0{number}", "spoken": "n"}
        with desk.store.database.write() as session:
            work.save_group(
                session, one.job_id, one.epoch, number=number, clips=1, end_s=number + 1.0,
                total_s=9.0, segments=[segment], state={},
            )  # fmt: skip
        found, groups = heard(desk, first.id, number)
        assert groups == number + 1
        assert [type(each) for each in found] == [Segment]
    everything, _ = heard(desk, first.id, 0)
    assert [each.start_s for each in everything] == [0, 1]
