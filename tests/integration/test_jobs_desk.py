"""Jobs as rows, on both databases: asking, taking turns, claims that end, events."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lingting.errors import (
    BatchNotFound,
    JobFinished,
    JobNotFound,
    OptionInvalid,
    OptionUnknown,
    RecordingNotFound,
    RequestConflict,
    RevisionNotFound,
    StoreUnreachable,
)
from lingting.jobs import Desk, FolderWatch, Job, JobOptions, folders
from lingting.jobs.folders import WATCHED_KEYS, scan_watched
from lingting.store import Store, database, jobs, open_store, work
from lingting.store.jobs import waiting
from lingting.store.records import Sight
from lingting.store.schema import JobGroupRow
from tests.integration.store_parts import plain_transcript, rich_transcript

Opener = Callable[[], Store]


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def submit(desk: Desk, name: str, owner: str | None = None, **more: object) -> Job:
    return desk.submit(io.BytesIO(name.encode()), name=name, owner=owner, **more)  # type: ignore[arg-type]


def claim(desk: Desk, count: int = 1, worker: str = "w1") -> list[work.Claim]:
    with desk.store.database.write() as session:
        return work.claim(session, worker, count)


def claimed_names(desk: Desk, count: int) -> list[str]:
    return [desk.job(one.job_id).name for one in claim(desk, count)]


def save(desk: Desk, one: work.Claim, number: int = 0, end_s: float = 30.0) -> bool:
    with desk.store.database.write() as session:
        return work.save_group(
            session, one.job_id, one.epoch, number=number, clips=1, end_s=end_s, total_s=60.0,
            segments=[{"text": "said"}], state={"done_s": end_s},
        )  # fmt: skip


def finish(desk: Desk, one: work.Claim) -> int:
    with desk.store.database.write() as session:
        return work.finish(session, one.job_id, one.epoch, rich_transcript(), b"\x01\x02")


def kinds(desk: Desk, **which: str) -> list[str]:
    return [one.kind for one in desk.events(**which)]  # type: ignore[arg-type]


def test_a_recording_is_there_before_its_transcript(desk: Desk) -> None:
    job = submit(desk, "a.wav", "li", options=JobOptions(language="Chinese", hotwords=("x",)))
    assert (job.state, job.owner, job.name, job.attempts) == ("queued", "li", "a.wav", 0)
    assert JobOptions.from_dict(job.options) == JobOptions(language="zh", hotwords=("x",))
    recording = desk.store.recording(job.recording_id)
    assert (recording.duration_s, recording.revision, recording.segments) == (None, 0, 0)
    assert [one.id for one in desk.store.recordings()] == [job.recording_id]
    with pytest.raises(RevisionNotFound, match="no transcript yet"):
        desk.store.transcript(job.recording_id)
    assert desk.store.check().is_healthy
    assert not desk.store.has_kept(recording.digest, name="a.wav", owner="li")


def test_a_job_from_claim_to_transcript(desk: Desk) -> None:
    job = submit(desk, "a.wav")
    (mine,) = claim(desk)
    assert (mine.job_id, mine.epoch, mine.groups) == (job.id, 1, 0)
    assert claim(desk) == []
    assert save(desk, mine) is False
    with desk.store.database.write() as session:
        reopened, state = work.reopen(session, mine.job_id, mine.epoch, "w1")
    assert (reopened.groups, state) == (1, {"done_s": 30.0})
    shown = desk.job(job.id)
    assert (shown.state, shown.done_s, shown.total_s) == ("running", 30.0, 60.0)
    assert finish(desk, mine) == 1
    assert desk.store.transcript(job.recording_id) == rich_transcript()
    assert desk.store.recording(job.recording_id).duration_s == rich_transcript().duration_s
    assert desk.store.peaks(desk.store.recording(job.recording_id).digest) == b"\x01\x02"
    done = desk.job(job.id)
    assert (done.state, done.revision, done.error, done.is_finished) == ("done", 1, None, True)
    assert kinds(desk, job_id=job.id) == ["job.queued", "job.started", "job.progress", "job.done"]
    with desk.store.database.read() as session:
        assert session.get(JobGroupRow, (job.id, 0)) is None


def test_who_lost_the_claim_changes_nothing(desk: Desk) -> None:
    job = submit(desk, "a.wav")
    (late,) = claim(desk, worker="w1")
    with desk.store.database.write() as session:
        assert work.beat(session, "w1", pid=1, jobs=1, speed=None, late_writes=0)
        (seen,) = work.workers(session)
    with desk.store.database.write() as session:
        assert work.bury(session, "w1", seen.beats) == 1
    (next_one,) = claim(desk, worker="w2")
    for write in (lambda: save(desk, late), lambda: finish(desk, late)):
        with pytest.raises(work.ClaimLost):
            write()
    with desk.store.database.write() as session:
        assert not work.beat(session, "w1", pid=1, jobs=1, speed=None, late_writes=2)
        assert work.workers(session)[0].late_writes == 2
    save(desk, next_one)
    finish(desk, next_one)
    with pytest.raises(work.ClaimLost):
        finish(desk, late)
    assert [one.number for one in desk.store.revisions(job.recording_id)] == [1]
    assert desk.job(job.id).attempts == 2


def test_a_worker_that_beats_is_not_buried(desk: Desk) -> None:
    submit(desk, "a.wav")
    claim(desk, worker="w1")
    with desk.store.database.write() as session:
        for _ in range(2):
            work.beat(session, "w1", pid=1, jobs=1, speed=2.5, late_writes=0)
        assert work.bury(session, "w1", 1) == 0
    assert desk.jobs(state="running")
    (worker,) = desk.workers()
    assert (worker.id, worker.beats, worker.is_live, worker.speed) == ("w1", 2, True, 2.5)


def test_who_comes_with_one_recording_is_next(desk: Desk) -> None:
    for number in range(20):
        submit(desk, f"a{number}", "anna")
    assert claimed_names(desk, 3) == ["a0", "a1", "a2"]
    submit(desk, "b0", "bo")
    assert claimed_names(desk, 2) == ["b0", "a3"]
    submit(desk, "b1", "bo")
    submit(desk, "b2", "bo")
    names = claimed_names(desk, 4)
    assert sorted(names) == ["a4", "a5", "b1", "b2"]


def test_a_pause_is_no_saving(desk: Desk) -> None:
    """Who comes back does not get all the turns that others had meanwhile."""
    submit(desk, "b", "bo")
    finish(desk, *claim(desk))
    for number in range(9):
        submit(desk, f"a{number}", "anna")
    claim(desk, 5)
    for number in range(4):
        submit(desk, f"b{number}", "bo")
    names = claimed_names(desk, 6)
    assert sum(name.startswith("a") for name in names) == 3


def test_classes_come_one_after_another(desk: Desk) -> None:
    for priority in ("low", "normal", "high", "normal"):
        submit(desk, priority, priority=priority)
    assert claimed_names(desk, 9) == ["high", "normal", "normal", "low"]


def test_pause_resume_cancel_retry(desk: Desk) -> None:
    job = submit(desk, "a.wav")
    assert desk.pause(job.id).state == "paused"
    assert claim(desk) == []
    assert desk.resume(job.id).state == "queued"
    (mine,) = claim(desk)
    assert desk.pause(job.id).state == "paused"
    assert save(desk, mine) is True  # the worker hears of it here
    assert desk.resume(job.id).state == "running"  # quicker than the worker let go
    assert save(desk, mine, 1, 60.0) is False
    desk.pause(job.id)
    with desk.store.database.write() as session:
        work.release(session, mine.job_id, mine.epoch)
    assert desk.resume(job.id).state == "queued"
    (again,) = claim(desk)
    assert again.groups == 2
    assert desk.cancel(job.id).state == "cancelled"
    assert desk.cancel(job.id).state == "cancelled"
    with pytest.raises(work.ClaimLost):
        finish(desk, again)
    with pytest.raises(JobFinished, match="cancelled"):
        desk.pause(job.id)
    assert desk.retry(job.id).state == "queued"
    (third,) = claim(desk)
    assert third.groups == 2  # what was heard is kept
    finish(desk, third)
    with pytest.raises(JobFinished, match="done"):
        desk.retry(job.id)
    with pytest.raises(JobNotFound):
        desk.cancel("nothere")


def test_batches(desk: Desk) -> None:
    batch = desk.open_batch("Lectures", owner="li")
    assert (batch.state, batch.counts, batch.total_s) == ("queued", {}, None)
    jobs = [submit(desk, f"{n}.wav", "li", batch_id=batch.id) for n in range(3)]
    assert desk.pause_batch(batch.id).state == "paused"
    late = submit(desk, "late.wav", "li", batch_id=batch.id)
    assert late.state == "paused"
    assert desk.resume_batch(batch.id).counts == {"queued": 4}
    first, second = claim(desk, 2)
    with desk.store.database.write() as session:
        work.beat(session, "w1", pid=1, jobs=2, speed=10.0, late_writes=0)
    save(desk, first)
    shown = desk.batch(batch.id)
    assert (shown.state, shown.done_s, shown.total_s) == ("running", 30.0, 240.0)
    assert shown.eta_s == pytest.approx(21.0)
    assert desk.job(first.job_id).eta_s == pytest.approx(6.0)
    finish(desk, first)
    with desk.store.database.write() as session:
        work.fail(session, second.job_id, second.epoch, "audio.damaged", "It is damaged.")
    assert desk.job(second.job_id).error.code == "audio.damaged"  # type: ignore[union-attr]
    assert "batch.done" not in kinds(desk, batch_id=batch.id)
    ended = desk.cancel_batch(batch.id)
    assert ended.counts == {"done": 1, "failed": 1, "cancelled": 2}
    assert ended.state == "done"
    assert kinds(desk, batch_id=batch.id).count("batch.done") == 1
    assert desk.retry_batch(batch.id).counts == {"done": 1, "queued": 3}
    assert {one.id for one in desk.jobs(batch_id=batch.id)} == {one.id for one in (*jobs, late)}
    assert [one.id for one in desk.batches(sight=Sight("li"))] == [batch.id]
    assert desk.batches(sight=Sight("bo")) == []
    with pytest.raises(BatchNotFound):
        submit(desk, "x", batch_id="nothere")


def test_pages_of_jobs(desk: Desk) -> None:
    made = [submit(desk, f"{n}", "li" if n % 2 else "bo").id for n in range(7)]
    found: list[str] = []
    after = None
    while page := desk.jobs(limit=3, after=after):
        found += [one.id for one in page]
        after = page[-1].id
    assert found == made[::-1]
    assert [one.id for one in desk.jobs(sight=Sight("li"))] == made[5::-2][:3]


def test_the_same_request_is_done_once(desk: Desk) -> None:
    key = {"idempotency_key": "k1"}
    job = submit(desk, "a.wav", "li", **key)
    assert submit(desk, "a.wav", "li", **key).id == job.id
    assert submit(desk, "a.wav", "bo", **key).id != job.id
    with pytest.raises(RequestConflict):
        submit(desk, "b.wav", "li", **key)
    with pytest.raises(RequestConflict):
        submit(desk, "a.wav", "li", options=JobOptions(words=True), **key)
    batch = desk.open_batch("b", idempotency_key="k2")
    assert desk.open_batch("b", idempotency_key="k2").id == batch.id
    with pytest.raises(RequestConflict):
        desk.open_batch("c", idempotency_key="k2")
    assert len(desk.jobs()) == 2
    with pytest.raises(OptionInvalid, match="idempotency"):
        submit(desk, "a", idempotency_key="")


def test_two_equal_requests_at_once(desk: Desk) -> None:
    found: list[str] = []
    barrier = threading.Barrier(4)

    def ask() -> None:
        barrier.wait()
        found.append(submit(desk, "a.wav", idempotency_key="k").id)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_another_model_for_a_recording_that_is_there(desk: Desk) -> None:
    kept = desk.store.keep(io.BytesIO(b"x"), plain_transcript(2), name="a.wav", owner="li")
    job = desk.resubmit(kept.recording.id, JobOptions(model="other"), idempotency_key="k")
    assert desk.resubmit(kept.recording.id, JobOptions(model="other"), idempotency_key="k") == job
    assert (job.owner, job.recording_id) == ("li", kept.recording.id)
    (mine,) = claim(desk)
    assert finish(desk, mine) == 2
    with pytest.raises(RecordingNotFound):
        desk.resubmit("nothere")


def test_a_purge_takes_jobs_and_their_groups(desk: Desk) -> None:
    job = submit(desk, "a.wav", idempotency_key="k")
    (mine,) = claim(desk)
    save(desk, mine)
    desk.store.delete(job.recording_id)
    desk.store.purge(job.recording_id)
    with pytest.raises(JobNotFound):
        desk.job(job.id)
    with pytest.raises(work.ClaimLost):
        save(desk, mine, 1)
    with desk.store.database.read() as session:
        assert session.get(JobGroupRow, (job.id, 0)) is None


def test_events_are_heard_in_order_and_whole(desk: Desk) -> None:
    """Several writers at once: who asks for what is new never misses what was written before."""
    heard: list[int] = []
    is_over = threading.Event()

    def listen() -> None:
        last = 0
        while True:
            over = is_over.is_set()
            for one in desk.events(last):
                assert one.id > last
                last = one.id
                heard.append(one.id)
            if over:
                return

    def ask(owner: str) -> None:
        for number in range(15):
            submit(desk, f"{owner}{number}", owner)

    listener = threading.Thread(target=listen)
    writers = [threading.Thread(target=ask, args=(owner,)) for owner in "abc"]
    for one in (listener, *writers):
        one.start()
    for one in writers:
        one.join()
    is_over.set()
    listener.join()
    assert len(heard) == 45
    assert desk.last_event_id() == heard[-1]
    assert len(desk.events(sight=Sight("a"))) == 15


def forget(session: Any) -> None:
    work.forget_old(
        session, events_age=timedelta(0), requests_age=timedelta(0), kept_keys=WATCHED_KEYS
    )


def test_old_events_go_and_numbers_do_not_come_back(desk: Desk) -> None:
    for number in range(3):
        submit(desk, str(number), idempotency_key=str(number))
    last = desk.last_event_id()
    with desk.store.database.write() as session:
        forget(session)
    assert desk.last_event_id() == last
    assert len(desk.events()) == 1
    assert not desk.is_requested("1")
    submit(desk, "new")
    assert desk.last_event_id() == last + 1


def test_jobs_nobody_works_on_are_given_back(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        submit(desk, name)
    one, two, three = claim(desk, 3)
    desk.pause(three.job_id)
    with desk.store.database.write() as session:
        assert work.take_back(session, "w1", [one.job_id]) == 2
        assert work.strays(session, ["w1"]) == []
        assert work.strays(session, ["w2"]) == ["w1"]
    assert desk.job(one.job_id).state == "running"
    assert desk.job(two.job_id).state == "queued"
    assert desk.resume(three.job_id).state == "queued"
    with desk.store.database.read() as session:
        assert waiting(session)
        assert work.is_held(session, one.job_id, one.epoch)
        assert not work.is_held(session, two.job_id, two.epoch)


def test_who_is_frozen_in_a_transaction_holds_up_nobody_for_long(
    new_postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_TIMEOUT_S", 1)
    with open_store(tmp_path / "data", url=new_postgres()) as store:
        desk = Desk(store)
        submit(desk, "a.wav")

        def freeze() -> None:
            with store.database.write() as session:
                work.claim(session, "w1", 1)
                assert claim(desk, worker="w2")  # waits until the first one is given up
                work.jobs_of(session, "w1")

        with pytest.raises(StoreUnreachable):
            freeze()
        assert desk.jobs(state="running")[0].attempts == 1


def test_every_transaction_tells_what_it_did(desk: Desk) -> None:
    """Whoever writes need not think of it."""
    job = submit(desk, "a.wav")
    with desk.store.database.write() as session:
        jobs.cancel(session, [jobs.job_row(session, job.id)])
    assert [one.kind for one in desk.events()] == ["job.queued", "job.cancelled"]


def test_a_folder_is_watched(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    watch = FolderWatch(desk, folder, owner="li", settle_s=0.0)
    (folder / "a.wav").write_bytes(b"aaaa")
    (folder / "deep" / "b.wav").write_bytes(b"bb")
    (folder / ".hidden.wav").write_bytes(b"h")
    (folder / "c.wav.part").write_bytes(b"c")
    (folder / "link.wav").symlink_to(folder / "a.wav")
    assert watch.scan() == []  # seen for the first time
    (folder / "a.wav").write_bytes(b"aaaa and more")  # still being written
    assert [one.name for one in watch.scan()] == ["b.wav"]
    assert [one.name for one in watch.scan()] == ["a.wav"]
    assert watch.scan() == []
    again = FolderWatch(desk, folder, owner="li", settle_s=0.0)
    assert again.scan() == again.scan() == []  # after a restart
    for job in desk.jobs():
        desk.store.delete(job.recording_id)
    third = FolderWatch(desk, folder, owner="li", settle_s=0.0)
    assert third.scan() == third.scan() == []  # what was deleted stays so
    with desk.store.database.write() as session:
        forget(session)
    fourth = FolderWatch(desk, folder, owner="li", settle_s=0.0)
    assert fourth.scan() == fourth.scan() == []  # also after a month
    (folder / "a.wav").write_bytes(b"another recording")
    fourth.scan()
    assert [one.name for one in fourth.scan()] == ["a.wav"]
    with pytest.raises(OptionInvalid, match="folder"):
        FolderWatch(desk, tmp_path / "nothing")


def test_a_file_that_cannot_be_read_yet(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever brought it gives it to us later; that changes no time of the file."""
    (tmp_path / "a.wav").write_bytes(b"aaaa")
    watch = FolderWatch(desk, tmp_path, is_deep=False, settle_s=0.0)

    def refuse(_: Path) -> str:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(folders, "digest_of", refuse)
        assert watch.scan() == watch.scan() == []
    assert [one.name for one in watch.scan()] == ["a.wav"]


def test_folders_that_workers_look_into(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"aaaa")
    desk.watch_folder(folder, JobOptions(language="zh"), owner="li")
    desk.watch_folder(folder, JobOptions(language="en"), owner="li")
    (told,) = desk.watched_folders()
    assert told["options"]["language"] == "en"
    scan = scan_watched(settle_s=0.0)
    scan(desk.store)
    scan(desk.store)
    (job,) = desk.jobs()
    assert (job.name, job.owner, job.priority) == ("a.wav", "li", "low")
    assert job.options["language"] == "en"
    desk.unwatch_folder(folder)
    (folder / "b.wav").write_bytes(b"bbbb")
    scan(desk.store)
    scan(desk.store)
    assert len(desk.jobs()) == 1
    with pytest.raises(OptionInvalid):
        desk.watch_folder(tmp_path / "nothing")


def test_folders_that_are_named_at_the_same_time_are_all_watched(
    desk: Desk, tmp_path: Path
) -> None:
    there = [tmp_path / str(number) for number in range(8)]
    for folder in there:
        folder.mkdir()
    with ThreadPoolExecutor(len(there)) as threads:
        list(threads.map(desk.watch_folder, there))
    assert {one["folder"] for one in desk.watched_folders()} == set(map(str, there))
    with ThreadPoolExecutor(len(there)) as threads:
        list(threads.map(desk.unwatch_folder, there))
    assert desk.watched_folders() == []


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"langage": "zh"}, OptionUnknown),
        ({"script": "old"}, OptionInvalid),
        ({"beam_size": 0}, OptionInvalid),
        ({"beam_size": True}, OptionInvalid),
        ({"words": "yes"}, OptionInvalid),
        ({"hotwords": "one"}, OptionInvalid),
        ({"model": ""}, OptionInvalid),
        ({"model": 3}, OptionInvalid),
        ({"channels": "left"}, OptionInvalid),
        ({"prompt": "x" * 10_001}, OptionInvalid),
    ],
)
def test_options_that_do_not_exist(given: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        JobOptions.from_dict(given)


def test_options_are_the_pipelines() -> None:
    options = JobOptions(language="ja", words=True, itn=False, hotwords=("a",), beam_size=3,
                         script="as-is", channels="split", prompt="p")  # fmt: skip
    assert JobOptions.from_dict(options.as_dict()) == options
    found = options.pipeline(60.0)
    for name in ("language", "words", "itn", "script", "hotwords", "prompt", "beam_size",
                 "channels"):  # fmt: skip
        assert getattr(found, name) == getattr(options, name)
    assert found.max_duration_s == 60.0
