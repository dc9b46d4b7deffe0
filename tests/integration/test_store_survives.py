"""Kills, concurrent writers, backups, older schemas: what must never lose or double anything."""

from __future__ import annotations

import io
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select

from lingting.errors import (
    BackupInvalid,
    OptionInvalid,
    StoreBusy,
    StoreNotEmpty,
    StoreSchema,
    StoreUnreachable,
)
from lingting.jobs import Desk
from lingting.store import (
    History,
    HistoryFilters,
    Search,
    Store,
    all_recordings,
    migrating,
    open_store,
    restore,
)
from lingting.store.backup import back_up
from lingting.store.blobs import FolderBlobs
from lingting.store.database import open_database
from lingting.store.schema import Base, JobRow, SpeakerRow, TagRow
from tests.integration.store_parts import plain_transcript, rich_transcript

RECORDINGS = 200
KILLS = 4
AUDIO = b"bytes that stand for audio"

# Keeps recording after recording, saying so after each; begins anew where it was killed.
KEEPER = """
import io, sys
sys.path.insert(0, sys.argv[3])
from lingting.store import open_store
from tests.integration.store_parts import plain_transcript
with open_store(sys.argv[1]) as store:
    for at in range(int(sys.argv[2])):
        audio = io.BytesIO(f"audio {at}".encode() * 500)
        store.keep(audio, plain_transcript(20, f"录音{at}第{{}}句"), name=f"{at}.wav")
        print(at, flush=True)
"""
ROOT = Path(__file__).parents[2]


def keep(store: Store, name: str, audio: bytes = AUDIO, count: int = 3) -> str:
    return store.keep(io.BytesIO(audio), plain_transcript(count), name=name).recording.id


def contents(store: Store) -> dict[str, tuple[object, ...]]:
    """Everything a person would miss."""
    return {
        one.id: (
            one,
            [store.transcript(one.id, rev.number) for rev in store.revisions(one.id)],
            store.blobs.read_range(one.digest, 0, 1 << 20),
        )
        for one in all_recordings(store)
    }


def test_kill_in_the_middle_of_keeping(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    chance = random.Random(seed)  # noqa: S311 - chooses moments, hides nothing
    folder = tmp_path / "data"
    acknowledged: set[int] = set()
    for kill in range(KILLS + 1):
        program = subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(folder), str(RECORDINGS), str(ROOT)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert program.stdout is not None
        until = chance.randrange(1, RECORDINGS) if kill < KILLS else RECORDINGS
        for line in program.stdout:
            acknowledged.add(int(line))
            if int(line) == until:
                time.sleep(chance.uniform(0, 0.02))
                program.send_signal(signal.SIGKILL)
                break
        acknowledged |= {int(line) for line in program.stdout.read().split()}
        program.stdout.close()
        program.wait(60)
        with open_store(folder) as store:
            found = store.check(audio=True)
            names = [one.name for one in all_recordings(store)]
        assert found.is_healthy
        assert len(found.orphan_blobs) <= 1
        assert len(names) == len(set(names))
        assert {f"{at}.wav" for at in acknowledged} <= set(names)
    with open_store(folder) as store:
        recordings = list(all_recordings(store))
        assert len(recordings) == RECORDINGS
        assert {one.revision for one in recordings} == {1}
        for one in recordings:
            at = int(one.name.removesuffix(".wav"))
            assert store.transcript(one.id) == plain_transcript(20, f"录音{at}第{{}}句")
        assert store.check(audio=True).orphan_blobs == ()


def test_two_processes_keep_at_once(tmp_path: Path) -> None:
    """The second waits for its turn; each recording is there once."""
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(tmp_path / "data"), "15", str(ROOT)],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    assert [one.wait(120) for one in programs] == [0, 0, 0]
    with open_store(tmp_path / "data") as store:
        recordings = list(all_recordings(store))
        assert sorted(one.name for one in recordings) == sorted(f"{at}.wav" for at in range(15))
        assert {one.revision for one in recordings} == {1}
        assert store.check(audio=True).is_healthy


def test_a_locked_database_is_busy_not_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingting.store.database.BUSY_TIMEOUT_S", 0.2)
    with open_store(tmp_path) as store:
        keep(store, "a.wav")
        other = sqlite3.connect(tmp_path / "lingting.db", isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(StoreBusy):
            keep(store, "b.wav")
        assert [one.name for one in store.recordings()] == ["a.wav"]  # reading goes on
        other.execute("rollback")
        other.close()
        keep(store, "b.wav")
        assert len(store.recordings()) == 2


def test_sqlite_is_set_up_to_last(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, store.database.read() as session:
        ask = session.connection().exec_driver_sql
        assert ask("pragma journal_mode").scalar() == "wal"
        assert ask("pragma synchronous").scalar() == 2
        assert ask("pragma foreign_keys").scalar() == 1
    assert (tmp_path / "lingting.db").stat().st_size > 0


def test_purged_text_is_in_no_file(tmp_path: Path) -> None:
    said = "Quincunxes"
    with open_store(tmp_path) as store:
        id = store.keep(
            io.BytesIO(AUDIO), plain_transcript(50, f"{said} {{}}"), name="a.wav"
        ).recording.id
        store.delete(id)
        store.purge(id)
        for path in tmp_path.rglob("*"):
            if path.is_file():
                assert said.encode() not in path.read_bytes(), path.name


# Backups ---------------------------------------------------------------------------------------


def test_backup_and_restore_are_equal(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        id = store.keep(io.BytesIO(AUDIO), rich_transcript(), name="讲\n座.mp3").recording.id
        store.revise(id, plain_transcript(2), based_on=1, author="王")
        store.tag(id, add=["课"])
        keep(store, "b.wav", b"other")
        before = contents(store)
        report = back_up(store, tmp_path / "backup.tar")
    assert (report.recordings, report.blobs, report.lost_blobs) == (2, 2, ())
    assert (tmp_path / "backup.tar").stat().st_size == report.size_bytes
    done = restore(tmp_path / "backup.tar", tmp_path / "new")
    assert (done.recordings, done.blobs, done.replaced) == (2, 2, None)
    with open_store(tmp_path / "new") as store:
        assert contents(store) == before
        assert store.check(audio=True).is_healthy
    assert sorted(path.name for path in (tmp_path / "new").iterdir() if path.name[0] == ".") == []


def test_backup_while_others_write(tmp_path: Path) -> None:
    """A backup is one state: every recording in it is whole, none that was there is missing."""
    folder = tmp_path / "data"
    with open_store(folder) as store:
        ids = {keep(store, f"{at}.wav", b"first %d" % at) for at in range(10)}
        stop = threading.Event()
        written = []

        def write() -> None:
            at = 0
            while not stop.is_set():
                written.append(keep(store, f"new-{at}.wav", b"new %d" % at, count=30))
                store.tag(written[-1], add=["new"])
                at += 1

        thread = threading.Thread(target=write)
        thread.start()
        reports = []
        try:
            for at in range(3):
                reports.append(back_up(store, tmp_path / f"{at}.tar"))
        finally:
            stop.set()
            thread.join()
        assert written
        now = contents(store)
    for at, report in enumerate(reports):
        restore(tmp_path / f"{at}.tar", tmp_path / f"restored-{at}")
        with open_store(tmp_path / f"restored-{at}") as store:
            there = contents(store)
            assert store.check(audio=True).is_healthy
        assert ids <= set(there)
        assert len(there) == report.recordings
        assert all(there[id][1:] == now[id][1:] for id in there)


def test_restore_does_not_overwrite(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        keep(store, "a.wav")
        back_up(store, tmp_path / "backup.tar")
        keep(store, "b.wav")
        before = contents(store)
    with pytest.raises(StoreNotEmpty):
        restore(tmp_path / "backup.tar", tmp_path / "data")
    with open_store(tmp_path / "data") as store:
        assert contents(store) == before
    done = restore(tmp_path / "backup.tar", tmp_path / "data", replace=True)
    with open_store(tmp_path / "data") as store:
        assert [one.name for one in store.recordings()] == ["a.wav"]
    assert done.replaced is not None
    with open_store(done.replaced) as store:
        assert contents(store) == before


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    at = data.index(AUDIO)
    return data[:at] + b"X" + data[at + 1 :]


def no_tar(data: bytes) -> bytes:
    return b"not a tar " * 200


def outside(_: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("../../outside")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    return out.getvalue()


def no_manifest(data: bytes) -> bytes:
    return rewritten(data, lambda name, content: None if name == "manifest.json" else content)


def lacking(data: bytes) -> bytes:
    return rewritten(data, lambda name, content: None if name.startswith("blobs/") else content)


def other_format(data: bytes) -> bytes:
    def change(name: str, content: bytes) -> bytes:
        if name != "manifest.json":
            return content
        return json.dumps({**json.loads(content), "format": "other/9"}).encode()

    return rewritten(data, change)


def rewritten(data: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old:
            stream = old.extractfile(member)
            assert stream is not None
            content = change(member.name, stream.read())
            if content is not None:
                member.size = len(content)
                new.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    "spoil", [cut, flipped, no_tar, outside, no_manifest, lacking, other_format]
)
def test_a_spoilt_backup_is_refused_and_changes_nothing(
    spoil: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    with open_store(tmp_path / "data") as store:
        keep(store, "a.wav")
        before = contents(store)
        back_up(store, tmp_path / "backup.tar")
    (tmp_path / "spoilt.tar").write_bytes(spoil((tmp_path / "backup.tar").read_bytes()))
    with pytest.raises(BackupInvalid):
        restore(tmp_path / "spoilt.tar", tmp_path / "data", replace=True)
    with open_store(tmp_path / "data") as store:
        assert contents(store) == before
    assert not (tmp_path.parent / "outside").exists()
    assert [path.name for path in (tmp_path / "data").glob(".restore-*")] == []


def test_a_backup_tells_what_was_lost_before(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        lost = store.recording(keep(store, "a.wav")).digest
        keep(store, "b.wav", b"other")
        store.blobs.remove(lost)
        assert back_up(store, tmp_path / "backup.tar").lost_blobs == (lost,)
    done = restore(tmp_path / "backup.tar", tmp_path / "new")
    assert (done.recordings, done.blobs, done.lost_blobs) == (2, 1, (lost,))


def test_two_backups_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingting.store.store._LOCK_TIMEOUT_S", 0.1)
    with open_store(tmp_path / "data") as store:
        keep(store, "a.wav")
        with store.audio_stays(), pytest.raises(StoreBusy):
            back_up(store, tmp_path / "backup.tar")
        assert back_up(store, tmp_path / "backup.tar").recordings == 1


# Schemas ---------------------------------------------------------------------------------------


def test_the_names_of_the_steps_are_their_schemas_in_order() -> None:
    from alembic.script import ScriptDirectory

    steps = ScriptDirectory(str(Path(migrating.__file__).parent / "migrations"))
    assert migrating.known() == [one.revision for one in steps.walk_revisions()][::-1]


def test_upgrade_from_the_first_schema(
    url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that the first version wrote are read by this one, and the tables are the models'."""
    folder = tmp_path / "data"
    folder.mkdir()
    database = open_database(url, folder)
    assert migrating.upgrade_to(database, "0001") == (None, "0001")
    with database.connect_to_write() as connection:
        for statement in OLD_ROWS:
            connection.exec_driver_sql(statement)
    database.close()
    with pytest.raises(StoreSchema, match="0001"):
        open_store(folder, url=url)
    monkeypatch.setenv("LINGTING_DATA_DIR", str(folder))
    if url is not None:
        monkeypatch.setenv("LINGTING_DATABASE_URL", url)
    before, after, copy = migrating.upgrade()
    assert (before, after) == ("0001", migrating.newest())
    assert (copy is None) == (url is not None)
    assert copy is None or copy.is_file()
    assert migrating.upgrade() == (after, after, None)
    with open_store() as store:
        (found,) = store.recordings()
        assert (found.id, found.name, found.excerpt) == (
            "abcdefgh2345",
            "旧.wav",
            "你好世界good day",
        )
        assert [one.text for one in store.transcript(found.id).segments] == [
            "你好", "世界", "good", "day",
        ]  # fmt: skip
        assert store.tag(found.id, add=["old"]).tags == ("old",)
        with store.database.read() as session:
            context = MigrationContext.configure(
                session.connection(), opts={"include_name": is_modelled}
            )
            assert compare_metadata(context, Base.metadata) == []
        page = Search(store.database).find("世界")
        assert [one.recording.id for one in page.items] == [found.id]
        assert (page.count, page.is_complete) == (1, True)
        assert store.check().row_faults == ()


def is_modelled(name: str | None, kind: str, _: object) -> bool:
    """All but the index of the search, which is no model: a virtual table on SQLite."""
    return kind != "table" or not (name or "").startswith("search_index")


def test_tags_of_an_older_schema_keep_their_order(url: str | None, tmp_path: Path) -> None:
    database = open_database(url, tmp_path)
    migrating.upgrade_to(database, "0001")
    with database.connect_to_write() as connection:
        for statement in OLD_ROWS:
            connection.exec_driver_sql(statement)
    migrating.upgrade_to(database, "0003")
    with database.connect_to_write() as connection:
        connection.exec_driver_sql(
            "insert into tags (recording_id, tag) values ('abcdefgh2345', 'x')"
        )
    migrating.upgrade_to(database, "head")
    database.close()
    with open_store(tmp_path, url=url) as store:
        assert [one.id for one in store.recordings(tag="x")] == ["abcdefgh2345"]
        store.tag("abcdefgh2345", add=["y"])
        with store.database.read() as session:
            times = set(session.scalars(select(TagRow.created_at)))
        assert times == {store.recording("abcdefgh2345").created_at}


def test_lists_of_an_older_schema_are_filled(url: str | None, tmp_path: Path) -> None:
    """Language, speakers and the newest job of what was there before schema 0012."""
    database = open_database(url, tmp_path)
    migrating.upgrade_to(database, "0001")
    with database.connect_to_write() as connection:
        for statement in OLD_ROWS:
            connection.exec_driver_sql(statement)
    migrating.upgrade_to(database, "0011")
    with database.connect_to_write() as connection:
        for statement in (
            "update revisions set language = 'zh'",
            "update segments set speaker = '甲' where id in (1, 2)",
            "update segments set speaker = '' where id = 3",
            f"update segments set speaker = '{'x' * 201}' where id = 4",
            *(
                "insert into jobs (id, recording_id, owner, state, priority, options, created_at,"
                " done_s, attempts, crashes, epoch) values"
                f" ('{id}', 'abcdefgh2345', '', '{state}', 1, '{{}}', '{made}', 0, 0, 0, 0)"
                for id, state, made in (
                    ("b", "failed", TIME), ("a", "queued", TIME), ("c", "done", "2020-01-01"),
                )
            ),
        ):  # fmt: skip
            connection.exec_driver_sql(statement)
    migrating.upgrade_to(database, "head")
    database.close()
    with open_store(tmp_path, url=url) as store:
        filters = HistoryFilters(language="zh", speaker="甲", states=("failed",))
        (found,) = History(store.database).page(filters).items
        assert (found.speakers, found.job and found.job.id) == (1, "b")
        assert not found.is_shared
        with store.database.read() as session:
            newest = select(JobRow.id, JobRow.recorded_at).where(JobRow.is_newest)
            assert session.execute(newest).all() == [("b", found.created_at)]
            speakers = session.execute(select(SpeakerRow.speaker, SpeakerRow.created_at)).all()
            assert speakers == [("甲", found.created_at)]
        Desk(store).resubmit(found.id)
        waiting = History(store.database).page(HistoryFilters(states=("queued",))).items
        assert [one.id for one in waiting] == [found.id]


FACTS = (
    '{"schema": "lingting.transcript/1", "duration_s": 4.0, "language": null, "speech_s": 4.0,'
    ' "sample_rate_hz": null, "channels": null, "model": null, "notes": [],'
    ' "damage": {"frames": 0, "truncated": false, "missing_s": 0.0, "invalid_samples": 0}}'
)
TIME = "2026-11-20 08:00:00.000000"
OLD_ROWS = (
    f"insert into blobs values ('{'a' * 64}', 3, '{TIME}')",
    "insert into recordings (id, digest, name, duration_s, created_at) values"
    f" ('abcdefgh2345', '{'a' * 64}', '旧.wav', 4.0, '{TIME}')",
    "insert into transcripts values (1, 'abcdefgh2345', 1)",
    "insert into revisions (id, transcript_id, number, origin, created_at, segment_count, facts)"
    f" values (1, 1, 1, 'machine', '{TIME}', 4, '{FACTS}')",
    *(
        f"insert into segments (id, transcript_id, start_s, end_s, text, spoken, details)"
        f" values ({at + 1}, 1, {at}, {at + 1}, '{text}', '{text}', '{{}}')"
        for at, text in enumerate(("你好", "世界", "good", "day"))
    ),
    *(f"insert into revision_segments values (1, {at}, {at + 1})" for at in range(4)),
)


def test_a_newer_schema_and_foreign_tables_are_refused(tmp_path: Path) -> None:
    with open_store(tmp_path / "newer") as store, store.database.connect_to_write() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    with pytest.raises(StoreSchema, match="does not know"):
        open_store(tmp_path / "newer")
    (tmp_path / "foreign").mkdir()
    with sqlite3.connect(tmp_path / "foreign" / "lingting.db") as other:
        other.execute("create table theirs (x)")
    other.close()
    with pytest.raises(StoreSchema, match="not Lingting's"):
        open_store(tmp_path / "foreign")


def test_a_failed_upgrade_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(None, tmp_path)
    migrating.upgrade_to(database, "0001")
    with database.connect_to_write() as connection:
        connection.exec_driver_sql("create table receipts (x)")  # in the way of the second step
    with pytest.raises(StoreUnreachable):
        migrating.upgrade_to(database, "head")
    with database.read() as session:
        assert migrating.current(session.connection()) == "0001"
        names = session.connection().exec_driver_sql("select name from sqlite_master").scalars()
        assert "tags" not in set(names)
    database.close()


@pytest.mark.parametrize(
    "given", ["mysql://a/b", "sqlite://", "sqlite:///:memory:", "no url at all", "http://x/y"]
)
def test_wrong_database_urls(given: str, tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid):
        open_store(tmp_path, url=given)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "lingting.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreUnreachable):
        open_store(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnreachable):
        open_store(tmp_path / "file")
    with pytest.raises(StoreUnreachable):
        open_store(tmp_path / "data", url="postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")


def test_files_are_the_owners_only(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        digest = store.recording(keep(store, "a.wav")).digest
        assert isinstance(store.blobs, FolderBlobs)
        mode = store.blobs.path(digest).stat().st_mode
    assert mode & 0o077 == 0
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_no_error_quotes_what_was_said(tmp_path: Path) -> None:
    """Not even in the traceback that --verbose shows."""
    said = "Quincunxes"
    with open_store(tmp_path) as store:
        with store.database.connect_to_write() as connection:
            connection.exec_driver_sql("drop table words")
            connection.exec_driver_sql("drop table segments")
        with pytest.raises(StoreUnreachable) as caught:
            store.keep(io.BytesIO(AUDIO), plain_transcript(1, said), name=f"{said}.wav")
    shown = "".join(traceback.format_exception(caught.value))
    assert "no such table" in shown
    assert said not in shown
