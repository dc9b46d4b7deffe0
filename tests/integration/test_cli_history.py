"""``lingting transcribe --keep`` and everything that can be done with what was kept."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lingting.store import open_store
from tests.integration.store_parts import plain_transcript, rich_transcript
from tests.integration.test_cli_program import lingting


class Home:
    """A data folder and the program that works with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str | Path, **options: Any) -> Any:
        env = {"LINGTING_DATA_DIR": str(self.folder), **options.pop("env", {})}
        return lingting(*arguments, env=env, **options)

    def rows(self, *arguments: str | Path) -> list[dict[str, Any]]:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


@pytest.fixture
def kept(home: Home, tmp_path: Path) -> str:
    """One recording with every field set, under a name with a line break."""
    audio = tmp_path / "audio"
    audio.write_bytes(b"audio bytes")
    with open_store(home.folder) as store:
        return store.keep(audio, rich_transcript(), name="../讲\n座.mp3").recording.id


def test_an_empty_history(home: Home) -> None:
    assert home.rows("history", "list") == []
    done = home.run("history", "undo")
    assert (done.returncode, "[store.recording_not_found]" in done.stderr) == (2, True)
    assert home.rows("db", "check")[0]["is_healthy"]


def test_hold_and_release(home: Home, kept: str) -> None:
    done = home.run("history", "hold", kept[:6], "--by", "法务")
    assert (done.returncode, f"{kept} is on legal hold by 法务" in done.stderr) == (0, True)
    (row,) = home.rows("history", "list")
    assert (row["held_by"], row["held_at"] is None) == ("法务", False)
    done = home.run("history", "delete", kept)
    assert (done.returncode, "[store.recording_held]" in done.stderr) == (2, True)
    assert home.run("history", "release", kept).returncode == 0
    assert home.rows("history", "list")[0]["held_at"] is None
    assert home.run("history", "delete", kept).returncode == 0


def test_retention(home: Home, kept: str) -> None:
    assert home.rows("retention", "show") == []
    done = home.run("retention", "set", "tag=a,b,delete=3", "owner=x", "delete=0,purge=0")
    assert done.returncode == 0, done.stderr
    assert home.rows("retention", "show") == [
        {"tag": "a,b", "delete_after_days": 3.0},
        {"owner": "x"},
        {"delete_after_days": 0.0, "purge_after_days": 0.0},
    ]
    done = home.run("retention", "show")
    assert "1 to delete, 0 to purge" in done.stderr
    assert "tag=a,b" in done.stdout
    done = home.run("retention", "apply")
    assert "1 deleted, 0 purged" in done.stderr
    (receipt,) = home.rows("retention", "apply")
    assert (receipt["recording_id"], receipt["audio"]) == (kept, "removed")
    assert home.rows("history", "list", "--deleted") == []
    assert home.run("retention", "set", "--none").returncode == 0
    assert home.rows("retention", "show") == []


@pytest.mark.parametrize(
    "given", [["delete=x"], ["tag="], ["days=3"], ["delete=-1"], ["owner=a,owner=b"], []]
)
def test_wrong_retention_rules(home: Home, given: list[str]) -> None:
    done = home.run("retention", "set", *given)
    assert (done.returncode, "[option.invalid]" in done.stderr) == (2, True)


def test_compact(home: Home, kept: str) -> None:
    done = home.run("db", "compact")
    assert (done.returncode, "The database has" in done.stderr) == (0, True)


def test_list_and_show(home: Home, kept: str) -> None:
    (row,) = home.rows("history", "list")
    assert (row["id"], row["name"], row["duration_s"]) == (kept, "../讲\n座.mp3", 6.25)
    line = home.run("history", "list").stdout.splitlines()[1]
    assert line.startswith(f"{kept}\t")
    assert "../讲\\n座.mp3" in line
    shown = home.run("history", "show", kept[:5])
    assert shown.stdout.splitlines() == [
        "0:00\t说话人 1: 1000元，退款。",
        "0:02\t[engine.failed]",
        "0:04\tB\\nb: Refund it 100%_now",
    ]
    (whole,) = home.rows("history", "show", kept)
    assert whole["transcript"] == json.loads(json.dumps(rich_transcript().as_dict()))
    missing = home.run("history", "show", "zzzzzzzz")
    assert (missing.returncode, missing.stdout) == (2, "")


def test_revisions(home: Home, kept: str) -> None:
    with open_store(home.folder) as store:
        store.revise(kept, plain_transcript(1, "改好了"), based_on=1, author="王")
    assert home.run("history", "show", kept).stdout == "0:00\t改好了\n"
    first = home.run("history", "show", kept, "--revision", "1")
    assert "退款" in first.stdout
    told = home.rows("history", "show", kept, "--revisions")
    assert [(one["origin"], one["author"]) for one in told] == [("machine", None), ("human", "王")]
    assert "2 *" in home.run("history", "show", kept, "--revisions").stdout
    assert home.run("history", "show", kept, "--revision", "9").returncode == 2


def test_export_stays_in_its_folder(home: Home, kept: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    done = home.run("history", "export", kept, "-f", "srt,json", "--audio", "-o", out)
    assert done.returncode == 0, done.stderr
    stem = f"讲_座.{kept}"
    assert sorted(path.name for path in out.iterdir()) == [
        f"{stem}.json", f"{stem}.mp3", f"{stem}.srt",
    ]  # fmt: skip
    assert (out / f"{stem}.mp3").read_bytes() == b"audio bytes"
    assert "1000元，退款" in (out / f"{stem}.srt").read_text()
    to_stdout = home.run("history", "export", kept, "--output", "-")
    assert "1000元，退款。" in to_stdout.stdout
    some = home.run("history", "export", kept, "zzzzzzzz", "-o", out)
    assert some.returncode == 3


def test_search_and_tags(home: Home, kept: str) -> None:
    (hit,) = home.rows("search", "退款")
    assert (hit["id"], hit["position"], hit["start_s"]) == (kept, 0, 0.1)
    assert "退款" in home.run("search", "退款").stdout
    assert home.run("history", "tag", kept, "课程", "b").stdout == "b\n课程\n"
    assert home.run("history", "tag", kept, "--remove", "b").stdout == "课程\n"
    assert [row["tags"] for row in home.rows("history", "list", "--tag", "课程")] == [["课程"]]
    assert home.rows("history", "list", "--tag", "b") == []


def test_a_date_behind_all_others_is_a_wrong_request(home: Home) -> None:
    done = home.run("search", "退款", "--since", "9999-12-31T23:59-05:00")
    assert done.returncode == 2
    assert "[option.invalid]" in done.stderr


def test_delete_undo_purge(home: Home, kept: str) -> None:
    assert home.run("history", "purge", kept).returncode == 2  # not deleted yet
    assert home.run("history", "delete", kept).returncode == 0
    assert home.rows("history", "list") == []
    assert [row["id"] for row in home.rows("history", "list", "--deleted")] == [kept]
    assert home.run("history", "undo").returncode == 0
    assert [row["id"] for row in home.rows("history", "list")] == [kept]
    home.run("history", "delete", kept)
    receipt = json.loads(home.run("history", "purge", kept).stdout)
    assert (receipt["recording_id"], receipt["audio"]) == (kept, "removed")
    assert home.rows("history", "list", "--deleted") == []
    assert home.run("history", "undo", kept).returncode == 2


def test_backup_and_restore(home: Home, kept: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    assert home.run("backup", file).returncode == 0
    assert home.run("backup", file).returncode == 2
    assert home.run("backup", file, "--force").returncode == 0
    assert home.run("restore", file).returncode == 2
    assert home.run("restore", file, "--replace").returncode == 0
    assert [row["id"] for row in home.rows("history", "list")] == [kept]
    fresh = Home(tmp_path / "fresh")
    assert fresh.run("restore", file).returncode == 0
    assert fresh.rows("history", "list") == home.rows("history", "list")
    assert fresh.rows("db", "check", "--audio")[0]["is_healthy"]
    assert fresh.run("restore", tmp_path / "nothing.tar", "--replace").returncode == 2


def test_check_ends_with_a_fault_when_audio_is_gone(home: Home, kept: str) -> None:
    digest = hashlib.sha256(b"audio bytes").hexdigest()
    (home.folder / "blobs" / digest[:2] / digest[2:4] / digest).unlink()
    done = home.run("db", "check")
    assert done.returncode == 1
    assert "missing audio\t1" in done.stdout


def test_an_older_database_asks_for_an_upgrade(home: Home) -> None:
    from lingting.store import migrating
    from lingting.store.database import open_database

    home.folder.mkdir()
    database = open_database(None, home.folder)
    migrating.upgrade_to(database, "0001")
    database.close()
    refused = home.run("history", "list")
    assert refused.returncode == 1
    assert "lingting db upgrade" in refused.stderr
    assert home.run("db", "upgrade").returncode == 0
    assert home.rows("history", "list") == []
    copies = list(home.folder.glob("lingting-before-upgrade-*.db"))
    assert len(copies) == 1
    with sqlite3.connect(copies[0]) as copy:
        assert copy.execute("select version_num from alembic_version").fetchone() == ("0001",)
    copy.close()


@pytest.mark.model
def test_transcribe_and_keep(
    home: Home, samples_folder: Path, whisper_folder: Path, vad_folder: Path, tmp_path: Path
) -> None:
    assert whisper_folder
    assert vad_folder
    talk = tmp_path / "讲 座.wav"
    shutil.copyfile(samples_folder / "asr_example.wav", talk)
    options = ("--model", "whisper-base", "--language", "zh", "--format", "txt")
    plain = home.run("transcribe", talk, *options)
    assert plain.returncode == 0, plain.stderr
    assert not home.folder.exists()  # nothing is kept unless it is asked for
    done = home.run("transcribe", talk, *options, "--keep", "--json")  # its text is there: kept yet
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["status"] == "done"
    again = home.run("transcribe", talk, *options, "--json", env={"LINGTING_KEEP": "1"})
    assert json.loads(again.stdout)["status"] == "skipped"
    with open_store(home.folder) as store:
        (found,) = store.recordings()
        assert (found.id, found.name) == (record["recording"], "讲 座.wav")
        assert store.blobs.read_range(found.digest, 0, 1 << 20) == talk.read_bytes()
        assert store.transcript(found.id).text == record["transcript"]["text"]
        drawn = store.peaks(found.digest)
        assert drawn is not None
        assert 100 < len(drawn) <= 2_000


@pytest.mark.model
def test_keep_what_was_piped(home: Home, samples_folder: Path, whisper_folder: Path) -> None:
    assert whisper_folder
    audio = samples_folder / "asr_example.wav"
    script = (
        "import sys; sys.argv = ['lingting', 'transcribe', '-', '--keep', '-m', 'whisper-base']\n"
        "from lingting.cli.main import run; run()"
    )
    import os
    import subprocess
    import sys

    env = {**os.environ, "LINGTING_OFFLINE": "1", "LINGTING_DATA_DIR": str(home.folder)}
    done = subprocess.run(
        [sys.executable, "-c", script], input=audio.read_bytes(), capture_output=True, env=env
    )
    assert done.returncode == 0, done.stderr
    (row,) = home.rows("history", "list")
    assert row["name"] == "standard input"
    assert row["digest"] == hashlib.sha256(audio.read_bytes()).hexdigest()
