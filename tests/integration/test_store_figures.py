"""Figures of the service, on both databases; and of which request a job is."""

from __future__ import annotations

import io
from datetime import timedelta

from lingting import log
from lingting.jobs import Desk, Job
from lingting.store import Store, changes, work
from lingting.store.figures import BACKUP_SETTING, Lane, figures
from lingting.store.schema import JobRow


def submit(store: Store, name: str, **more: object) -> Job:
    return Desk(store).submit(io.BytesIO(name.encode()), name=name, **more)  # type: ignore[arg-type]


def test_an_empty_store_has_every_state_and_lane(store: Store) -> None:
    found = figures(store)
    assert set(found.jobs) == {"queued", "running", "paused", "done", "failed", "cancelled"}
    assert set(found.jobs.values()) == {0}
    assert found.failed == {}
    assert found.lanes == dict.fromkeys(("high", "normal", "low"), Lane(0, 0.0, 0.0))
    assert found.backup_at_s is None


def test_jobs_are_counted_by_state_lane_and_error(store: Store) -> None:
    made = [submit(store, f"{at}", priority="low" if at < 2 else "normal") for at in range(5)]
    with store.database.write() as session:
        for job, total_s in zip(made[:2], (60.0, None), strict=True):
            row = session.get_one(JobRow, job.id)
            row.created_at -= timedelta(seconds=100)
            row.total_s = total_s
        for job in made[2:4]:
            row = session.get_one(JobRow, job.id)
            row.state, row.error = "failed", {"code": "audio.empty", "message": "said"}
    store.set_setting(BACKUP_SETTING, round(changes.now().timestamp()))
    found = figures(store)
    assert {name: count for name, count in found.jobs.items() if count} == {
        "queued": 3,
        "failed": 2,
    }
    assert found.failed == {"audio.empty": 2}
    low = found.lanes["low"]
    assert (low.jobs, low.audio_s) == (2, 60.0)
    assert 100 <= low.oldest_s < 130
    assert found.lanes["normal"].jobs == 1
    assert found.backup_at_s is not None


def test_a_claim_knows_the_request_also_when_it_is_taken_up_again(store: Store) -> None:
    with log.bound(request="request-of-both"):
        job = submit(store, "a")
    submit(store, "b")
    with store.database.write() as session:
        first, second = work.claim(session, "w1", 2)
    assert (first.job_id, first.request_id, second.request_id) == (job.id, "request-of-both", None)
    with store.database.write() as session:
        again, _ = work.reopen(session, first.job_id, first.epoch, "w2")
    assert again.request_id == "request-of-both"
