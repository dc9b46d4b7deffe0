"""Workers that are killed, frozen and left without an engine: every recording is done once."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from lingting.api import load
from lingting.errors import JobNotFound
from lingting.jobs import Desk, Job, JobOptions
from lingting.store import Store, open_store
from lingting.store.schema import JobGroupRow, JobRow
from tests.integration.worker_parts import (
    calls,
    children,
    finished,
    long_recording,
    stop,
    tell,
    undisturbed,
    until,
    worker,
)

pytestmark = [pytest.mark.speech, pytest.mark.usefixtures("vad_folder")]


@pytest.fixture(scope="module")
def recordings(speech_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A long one of several groups, and some short ones in several formats."""
    clips = sorted((speech_dir).rglob("zh-aishell1-*.flac"))[:24]
    clips += sorted((speech_dir).rglob("en-*.flac"))[:12]
    folder = tmp_path_factory.mktemp("recordings")
    return [long_recording(folder / "long.wav", clips), *clips[:3]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "engine"
    made.mkdir()
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def submit(desk: Desk, path: Path, **more: object) -> Job:
    return desk.submit(path, name=path.name, **more)  # type: ignore[arg-type]


def check_done(desk: Desk, job: Job, path: Path, options: JobOptions | None = None) -> None:
    """Done once, and equal to what the library writes."""
    found = desk.job(job.id)
    assert (found.state, found.error) == ("done", None)
    expected = undisturbed(path, options.pipeline() if options else None)
    assert desk.store.transcript(job.recording_id) == expected
    revisions = desk.store.revisions(job.recording_id)
    assert [one.number for one in revisions] == [1]
    with desk.store.database.read() as session:
        assert session.get(JobGroupRow, (job.id, 0)) is None
    assert [one.kind for one in desk.events(job_id=job.id)].count("job.done") == 1


def test_a_job_is_the_librarys_transcript(
    desk: Desk, data: Path, folder: Path, url: str | None, recordings: list[Path]
) -> None:
    options = [
        JobOptions(),
        JobOptions(words=True, language="zh", script="as-is", itn=False),
        JobOptions(hotwords=("开放时间",), prompt="hello", beam_size=2),
        JobOptions(channels="split"),
    ]
    with worker(data, folder, url=url) as process:
        jobs = [submit(desk, path, options=one, owner="li") for path, one in zip(
            recordings, options, strict=True)]  # fmt: skip
        finished(desk, *jobs)
        assert stop(process) == 0
    for job, path, one in zip(jobs, recordings, options, strict=True):
        check_done(desk, job, path, one)
    long = desk.job(jobs[0].id)
    assert long.total_s == pytest.approx(undisturbed(recordings[0]).duration_s)
    progress = [one.data for one in desk.events(job_id=long.id) if one.kind == "job.progress"]
    assert len(progress) >= 2
    assert [one["done_s"] for one in progress] == sorted(one["done_s"] for one in progress)
    recording = desk.store.recording(long.recording_id)
    from lingting.audio.peaks import peaks

    assert desk.store.peaks(recording.digest) == peaks(recordings[0])
    (state,) = desk.workers()
    assert (state.is_live, state.jobs, state.late_writes) == (False, 0, 0)


def test_kill_at_any_moment(
    desk: Desk, data: Path, folder: Path, url: str | None, recordings: list[Path]
) -> None:
    tell(folder, "slow", "0.25")
    jobs = [submit(desk, path) for path in recordings]
    pause_s = 0.4
    while not all(desk.job(one.id).is_finished for one in jobs):
        with worker(data, folder, url=url) as process:
            seen = desk.last_event_id()
            until(lambda seen=seen: desk.last_event_id() > seen)  # type: ignore[misc]
            time.sleep(pause_s)
            process.kill()
            process.wait()
        pause_s += 0.37
        if pause_s > 3:
            tell(folder, "slow", None)
    for job, path in zip(jobs, recordings, strict=True):
        check_done(desk, job, path)


def test_groups_are_not_heard_twice(
    desk: Desk, data: Path, folder: Path, url: str | None, recordings: list[Path]
) -> None:
    """Killed behind the first group, the second run hears the others only."""
    with worker(data, folder, url=url) as process:
        job = submit(desk, recordings[0])
        finished(desk, job)
        stop(process)
    undisturbed_calls = calls(folder)
    tell(folder, "calls", None)
    tell(folder, "slow", "0.6")
    second = desk.resubmit(job.recording_id)
    with worker(data, folder, url=url) as process:
        until(lambda: desk.job(second.id).done_s > 0)
        process.kill()
        process.wait()
    with worker(data, folder, url=url):
        tell(folder, "slow", None)
        finished(desk, second)
    assert undisturbed_calls <= calls(folder) <= undisturbed_calls + 2
    assert len(desk.store.revisions(job.recording_id)) == 1  # the same transcript, to the letter


def freeze(pid: int, data: Path) -> None:
    """Not inside a write to SQLite, for there nobody can take over before it is ended."""
    os.kill(pid, signal.SIGSTOP)
    for file in (*data.glob("*.db"), *data.glob("*.sqlite")):
        locker = sqlite3.connect(file, timeout=0.5, isolation_level=None)
        try:
            locker.execute("begin immediate")
            locker.execute("rollback")
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.05)
            return freeze(pid, data)
        finally:
            locker.close()
    return None


def test_a_frozen_worker_is_taken_over(
    desk: Desk, data: Path, folder: Path, url: str | None, recordings: list[Path]
) -> None:
    tell(folder, "slow", "30")
    with worker(data, folder, url=url) as first:
        job = submit(desk, recordings[0])
        until(lambda: calls(folder) > 0)
        freeze(first.pid, data)
        other = folder.with_name("other")
        other.mkdir()
        with worker(data, other, url=url) as second:
            finished(desk, job)
            check_done(desk, job, recordings[0])
            tell(folder, "slow", None)
            before = desk.last_event_id()
            os.kill(first.pid, signal.SIGCONT)
            until(lambda: any(one.late_writes for one in desk.workers()))
            until(lambda: all(one.is_live for one in desk.workers()))
            assert [one.kind for one in desk.events(before)] == []
            check_done(desk, job, recordings[0])
            again = submit(desk, recordings[1])  # both work on
            finished(desk, again)
            assert stop(second) == 0
        assert stop(first) == 0
    assert desk.job(job.id).attempts == 2


def test_an_engine_that_is_away(
    desk: Desk, data: Path, folder: Path, url: str | None, recordings: list[Path]
) -> None:
    tell(folder, "away")
    with worker(data, folder, url=url) as process:
        jobs = [submit(desk, path) for path in recordings]
        until(lambda: calls(folder) > 3)
        assert not any(desk.job(one.id).is_finished for one in jobs)
        desk.cancel(jobs[3].id)  # is heard of by one that waits
        desk.pause(jobs[2].id)
        until(lambda: [one.jobs for one in desk.workers()] == [2])
        tell(folder, "faint")
        tell(folder, "away", None)
        time.sleep(0.5)
        assert not any(desk.job(one.id).is_finished for one in jobs[:3])
        tell(folder, "faint", None)
        finished(desk, *jobs[:2])
        desk.resume(jobs[2].id)
        finished(desk, jobs[2])
        assert stop(process) == 0
    for job, path in zip(jobs[:3], recordings, strict=False):
        check_done(desk, job, path)
    assert desk.job(jobs[3].id).state == "cancelled"


def test_another_model_begins_again(
    desk: Desk, data: Path, folder: Path, url: str | None, recordings: list[Path]
) -> None:
    tell(folder, "slow", "0.5")
    with worker(data, folder, url=url):
        job = submit(desk, recordings[0])
        until(lambda: desk.job(job.id).done_s > 0)
        tell(folder, "other")
        tell(folder, "slow", None)
        finished(desk, job)
    found = desk.store.transcript(job.recording_id)
    assert found.model is not None
    assert found.model.id == "another"
    assert found.segments == undisturbed(recordings[0]).segments


def test_pause_cancel_and_a_stop_in_the_middle(
    desk: Desk, data: Path, folder: Path, url: str | None, recordings: list[Path]
) -> None:
    tell(folder, "slow", "0.8")
    with worker(data, folder, url=url) as process:
        jobs = [submit(desk, recordings[0]), submit(desk, recordings[0], owner="bo")]
        until(lambda: desk.job(jobs[0].id).done_s > 0)
        desk.pause(jobs[0].id)
        until(lambda: desk.job(jobs[1].id).done_s > 0)
        desk.cancel(jobs[1].id)
        until(lambda: [one.jobs for one in desk.workers()] == [0])
        done_s = desk.job(jobs[0].id).done_s
        assert (desk.job(jobs[0].id).state, desk.job(jobs[1].id).state) == ("paused", "cancelled")
        desk.resume(jobs[0].id)
        desk.retry(jobs[1].id)
        until(lambda: desk.job(jobs[0].id).done_s > done_s)
        assert stop(process) == 0  # a drained worker gives its jobs back
    assert {desk.job(one.id).state for one in jobs} <= {"queued", "done"}
    tell(folder, "slow", None)
    with worker(data, folder, url=url):
        finished(desk, *jobs)
    for job in jobs:
        check_done(desk, job, recordings[0])


def test_bad_files_are_their_own_fault(
    desk: Desk, data: Path, folder: Path, url: str | None, recordings: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"this is no recording")
    cut = tmp_path / "cut.flac"
    cut.write_bytes(recordings[1].read_bytes()[:200])
    batch = desk.open_batch("mixed")
    with worker(data, folder, url=url):
        paths = [recordings[1], bad, cut, recordings[2]]
        jobs = [submit(desk, path, batch_id=batch.id) for path in paths]
        finished(desk, *jobs)
    states = [desk.job(one.id).state for one in jobs]
    assert states == ["done", "failed", "failed", "done"]
    failed = desk.job(jobs[1].id)
    assert failed.error is not None
    assert failed.error.code == "audio.not_media"
    assert desk.store.blobs.has(desk.store.recording(failed.recording_id).digest)
    assert desk.batch(batch.id).counts == {"done": 2, "failed": 2}
    assert [one.kind for one in desk.events(batch_id=batch.id)].count("batch.done") == 1


def test_purged_while_it_is_worked_on(
    desk: Desk, data: Path, folder: Path, url: str | None, recordings: list[Path]
) -> None:
    tell(folder, "slow", "0.5")
    with worker(data, folder, url=url) as process:
        job = submit(desk, recordings[0])
        until(lambda: desk.job(job.id).done_s > 0)
        desk.store.delete(job.recording_id)
        desk.store.purge(job.recording_id)
        until(lambda: [one.jobs for one in desk.workers()] == [0])
        with pytest.raises(JobNotFound):
            desk.job(job.id)
        other = submit(desk, recordings[1])
        finished(desk, other)
        assert stop(process) == 0
    check_done(desk, other, recordings[1])


def test_a_locked_database_is_waited_for(data: Path, folder: Path, recordings: list[Path]) -> None:
    tell(folder, "slow", "0.2")
    with open_store(data) as store, worker(data, folder):
        desk = Desk(store)
        job = submit(desk, recordings[0])
        until(lambda: calls(folder) > 0)
        for name in ("lingting.db", "dbos.sqlite"):
            locker = sqlite3.connect(data / name, timeout=30, isolation_level=None)
            locker.execute("begin immediate")
            time.sleep(2.5)  # longer than a worker may be silent, in this test
            locker.execute("rollback")
            locker.close()
        tell(folder, "slow", None)
        finished(desk, job)
        check_done(desk, job, recordings[0])


def test_a_chore_that_hangs_holds_up_no_job(
    data: Path, folder: Path, recordings: list[Path]
) -> None:
    """A job that is the worker's by its row and in none of its threads is found all the same."""
    with open_store(data) as store, worker(data, folder, hang=True) as process:
        desk = Desk(store)
        until(lambda: any(one.is_live for one in desk.workers()))
        time.sleep(1.5)  # the chore hangs by now
        batch = desk.open_batch("held")
        desk.pause_batch(batch.id)
        job = submit(desk, recordings[1], batch_id=batch.id)
        with store.database.write() as session:
            row = session.get_one(JobRow, job.id)
            row.state, row.worker_id, row.epoch = "running", desk.workers()[0].id, row.epoch + 1
        finished(desk, job)
        check_done(desk, job, recordings[1])
        assert stop(process) == 0


def test_the_diary_does_not_grow(data: Path, folder: Path, recordings: list[Path]) -> None:
    with open_store(data) as store, worker(data, folder, diary_s=0.5):
        desk = Desk(store)
        finished(desk, *(submit(desk, path) for path in recordings[1:]))

        def rows() -> int:
            with sqlite3.connect(data / "dbos.sqlite") as diary:
                found = diary.execute("select count(*) from workflow_status").fetchone()
                steps = diary.execute("select count(*) from operation_outputs").fetchone()
            diary.close()
            return int(found[0]) + int(steps[0])

        assert rows() > 0
        until(lambda: rows() == 0)


def test_nothing_said_is_in_the_workflows(data: Path, folder: Path, recordings: list[Path]) -> None:
    """What durable work writes down of itself holds no text, so that a purge is a purge."""
    with open_store(data) as store, worker(data, folder) as process:
        desk = Desk(store)
        job = submit(desk, recordings[0], options=JobOptions(hotwords=("weltschmerz",)))
        finished(desk, job)
        stop(process)
        said = [one.text.split()[0] for one in store.transcript(job.recording_id).segments]
    diary = b"".join(one.read_bytes() for one in data.glob("dbos.sqlite*"))
    logged = (folder / "log").read_bytes()
    for word in (*said, "weltschmerz", recordings[0].name):
        assert word.encode() not in diary
        assert word.encode() not in logged


HOSTILE = """
import os, signal, sys, time
def _heard(event, told):
    if event == "open" and "blobs" in str(told[0]) and not _heard.is_busy:
        _heard.is_busy = True
        try:
            with open(told[0], "rb") as file:
                head = file.read(6)
        except OSError:
            head = b""
        _heard.is_busy = False
        if head == b"KILLER":
            os.kill(os.getpid(), signal.SIGSEGV)
        if head == b"STUCK!":
            time.sleep(1000)
_heard.is_busy = False
if "lingting.jobs.reader" in sys.orig_argv:
    sys.addaudithook(_heard)
"""


def test_a_file_that_kills_its_reader(
    data: Path, folder: Path, recordings: list[Path], tmp_path: Path
) -> None:
    """Two files, one that crashes whoever reads it and one that never ends; neighbours go on."""
    made = tmp_path / "python"
    made.mkdir()
    (made / "sitecustomize.py").write_text(HOSTILE)
    (tmp_path / "killer.wav").write_bytes(b"KILLER of decoders")
    (tmp_path / "stuck.wav").write_bytes(b"STUCK! for ever")
    tell(folder, "slow", "0.1")
    with open_store(data) as store, worker(data, folder, python_path=made, stall_s=4.0) as process:
        desk = Desk(store)
        paths = [recordings[0], tmp_path / "killer.wav", tmp_path / "stuck.wav", *recordings[1:]]
        jobs = [submit(desk, path) for path in paths]
        finished(desk, *jobs)
        for job in (jobs[1], jobs[2]):
            found = desk.job(job.id)
            assert (found.state, found.attempts) == ("failed", 1)
            assert found.error is not None
            assert found.error.code == "audio.crashes"
        for job, path in zip((jobs[0], *jobs[3:]), recordings, strict=True):
            check_done(desk, job, path)
        assert len(children(process.pid)) == 1  # the dead were replaced, and waited for
        assert stop(process) == 0


def test_readers_that_somebody_kills(data: Path, folder: Path, recordings: list[Path]) -> None:
    """As the system does that runs out of memory: that need not be the recording's fault."""
    tell(folder, "slow", "0.5")
    with open_store(data) as store, worker(data, folder) as process:
        desk = Desk(store)
        job = submit(desk, recordings[0])
        for _ in range(3):
            seen = calls(folder)
            until(lambda seen=seen: calls(folder) > seen)  # type: ignore[misc]
            for pid in children(process.pid):
                os.kill(pid, signal.SIGKILL)
        tell(folder, "slow", None)
        finished(desk, job)
        check_done(desk, job, recordings[0])


def test_a_full_disk_is_waited_for(data: Path, folder: Path, recordings: list[Path]) -> None:
    """No file of the worker may grow for a while; the system refuses as a full disk does."""
    tell(folder, "slow", "0.3")
    with open_store(data) as store, worker(data, folder) as process:
        desk = Desk(store)
        job = submit(desk, recordings[0])
        until(lambda: calls(folder) > 0)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1 << 16, hard))
        until(lambda: b"waiting" in (folder / "log").read_bytes())
        time.sleep(2.0)
        assert not desk.job(job.id).is_finished
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        tell(folder, "slow", None)
        finished(desk, job)
        check_done(desk, job, recordings[0])


@pytest.mark.model
@pytest.mark.usefixtures("whisper_folder")
def test_a_real_models_transcript_is_the_librarys(
    data: Path, folder: Path, speech_dir: Path, tmp_path: Path
) -> None:
    """Whisper-base, killed behind the first group: to the letter what the library writes."""
    clips = sorted(speech_dir.rglob("zh-aishell1-*.flac"))[:3]
    clips += sorted(speech_dir.rglob("en-*.flac"))[:4]
    long = long_recording(tmp_path / "long.wav", clips)
    options = JobOptions(words=True)
    with open_store(data) as store:
        desk = Desk(store)
        jobs = [submit(desk, path, options=options) for path in (long, clips[0])]
        with worker(data, folder, real="whisper-base", slots=1) as process:
            until(lambda: desk.job(jobs[0].id).done_s > 0)
            process.kill()
            process.wait()
        with worker(data, folder, real="whisper-base") as process:
            finished(desk, *jobs)
            stop(process)
        transcriber = load("whisper-base")
        for job, path in zip(jobs, (long, clips[0]), strict=True):
            expected = transcriber.transcribe(path, options=options.pipeline())
            assert expected.text
            assert store.transcript(job.recording_id) == expected
        transcriber.close()
