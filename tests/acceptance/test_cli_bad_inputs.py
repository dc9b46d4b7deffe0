"""The real program with a real model on what people really hand over.

Eighty kinds of recordings, odd and hopeless ones among them, with good ones before, between and
after: each ends with a typed error or a result, and no good one has another text than when it is
transcribed alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.odd_files import MAKERS, NoEncoder, Odd

pytestmark = pytest.mark.model

PROGRAM = [sys.executable, "-c", "from lingting.cli.main import run; run()"]
_IMPOSSIBLE_ARGUMENT = {"path_with_null"}  # no program can be given one
_PIECE_S = 6


@pytest.fixture(autouse=True)
def model(whisper_folder: Path, vad_folder: Path) -> None:
    """Skips aloud without the models."""


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "transcribe", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "LINGTING_OFFLINE": "1"},
        **options,
    )


def transcribe(*arguments: str | Path, **options: Any) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=280)
    return process.returncode, out, err


def cut(source: Path, target: Path, start_s: float, duration_s: float) -> Path:
    """A stretch of a 16-bit WAV file."""
    with wave.open(str(source)) as whole, wave.open(str(target), "wb") as part:
        part.setparams(whole.getparams())
        rate_hz = whole.getframerate()
        whole.setpos(round(start_s * rate_hz))
        part.writeframes(whole.readframes(round(duration_s * rate_hz)))
    return target


@dataclass
class Zoo:
    """Everything in one folder, and what must come of it."""

    folder: Path
    good: list[Path]
    odd: dict[str, Odd]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, samples_folder: Path) -> Zoo:
    folder = tmp_path_factory.mktemp("zoo")
    good = [folder / "first.wav", folder / "between.wav", folder / "last.wav"]
    shutil.copy(samples_folder / "asr_example.wav", good[0])
    cut(samples_folder / "two_cities.wav", good[1], 0.0, 12.0)
    cut(samples_folder / "vad_example.wav", good[2], 10.0, 15.0)
    odd: dict[str, Odd] = {}
    for name, maker in MAKERS.items():
        own = folder / name
        own.mkdir()
        try:
            odd[name] = maker(own)
        except NoEncoder:
            shutil.rmtree(own)
    for name in _IMPOSSIBLE_ARGUMENT:
        del odd[name]
    return Zoo(folder, good, odd)


@dataclass
class Visit:
    """One run over the whole zoo."""

    code: int
    err: str
    records: list[dict[str, Any]]

    def of(self, given: str | Path) -> dict[str, Any]:
        (record,) = [one for one in self.records if one["file"] == str(given)]
        return record


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def visit(zoo: Zoo, results: Path, whisper_folder: Path, vad_folder: Path) -> Visit:
    names = [str(one.path) for one in zoo.odd.values()]
    middle = len(names) // 2
    given = [zoo.good[0], *names[:middle], zoo.good[1], *names[middle:], zoo.good[2], zoo.folder]
    code, out, err = transcribe(*given, "--json", "--format", "txt,srt", "--output", results)
    return Visit(code, err, [json.loads(line) for line in out.splitlines()])


def test_the_zoo_is_large(zoo: Zoo) -> None:
    assert sum(one.error is not None for one in zoo.odd.values()) >= 20
    assert len(zoo.odd) >= 60


def test_exit_code_and_no_traceback(visit: Visit) -> None:
    assert visit.code == 3
    assert "Traceback" not in visit.err
    assert "incident" not in visit.err


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in _IMPOSSIBLE_ARGUMENT])
def test_each_is_a_typed_error_or_a_result(name: str, zoo: Zoo, visit: Visit) -> None:
    if name not in zoo.odd:
        pytest.skip("this build of PyAV has no encoder for it")
    expected = zoo.odd[name]
    record = visit.of(expected.path)
    if expected.error is None:
        assert record["status"] == "done", record
        assert record["transcript"]["duration_s"] == pytest.approx(
            expected.duration_s, abs=expected.tolerance_s + 0.002
        )
        assert [Path(one).suffix for one in record["outputs"]] == [".txt", ".srt"]
        assert all(Path(one).is_file() for one in record["outputs"])
        return
    # A folder is searched; this one holds nothing.
    code = "audio.not_found" if name == "folder_as_file" else expected.error.code
    assert record["status"] == "failed"
    assert record["error"]["code"] == code
    assert record["outputs"] == []
    assert Path(str(expected.path)).name not in record["error"]["message"]


def test_every_name_stands_on_one_line(visit: Visit, zoo: Zoo) -> None:
    lines = visit.err.splitlines()
    assert sum("会议\\n🎙️" in line for line in lines) == 1
    failed = [one for one in visit.records if one["status"] == "failed"]
    assert sum(": error: " in line for line in lines) == len(failed)


def test_no_two_results_share_a_file_and_nothing_else_is_left(visit: Visit, results: Path) -> None:
    outputs = [one for record in visit.records for one in record["outputs"]]
    assert len(set(outputs)) == len(outputs)
    found = {str(path) for path in results.rglob("*") if path.is_file()}
    assert found == set(outputs)


def test_neighbours_have_the_text_they_have_alone(visit: Visit, zoo: Zoo) -> None:
    for path in zoo.good:
        code, out, _ = transcribe(path)
        assert code == 0
        record = visit.of(path)
        assert record["transcript"]["text"]
        assert out.split() == "".join(
            f"{segment['text']}\n" for segment in record["transcript"]["segments"]
        ).split()  # fmt: skip


def test_a_second_run_skips_what_is_finished(
    visit: Visit, zoo: Zoo, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINGTING_HOME", str(tmp_path))  # no model is there to be loaded
    code, out, _ = transcribe(
        *zoo.good, "--json", "--format", "txt,srt", "--output", results, cwd=zoo.folder
    )
    assert code == 0
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["skipped"] * 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_recording_that_may_not_be_read(zoo: Zoo, tmp_path: Path) -> None:
    shutil.copy(zoo.good[0], tmp_path / "closed.wav")
    (tmp_path / "closed.wav").chmod(0)
    code, out, err = transcribe("closed.wav", zoo.good[0], cwd=tmp_path)
    assert code == 3
    assert "closed.wav: error: " in err
    assert "audio.path_unreadable" in err
    assert out


def _all_of(terminal: int) -> bytes:
    """What is written there until nobody is left to write; a terminal holds little by itself."""
    seen = b""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 1 << 16):
            seen += piece
    return seen


def test_a_person_sees_a_bar_and_the_cursor_comes_back(zoo: Zoo, tmp_path: Path) -> None:
    person, program = os.openpty()
    pool = ThreadPoolExecutor(1)
    reading = pool.submit(_all_of, person)
    done = subprocess.run(
        [*PROGRAM, "transcribe", zoo.good[0], zoo.good[2], "--output", tmp_path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=program,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINGTING_OFFLINE": "1"},
        check=False,
    )
    os.close(program)
    seen = reading.result().decode()
    os.close(person)
    assert done.returncode == 0
    assert done.stdout == b""
    assert "0/2 files" in seen
    assert "2/2 files" in seen
    assert "left …" in seen  # time to go, then the end of the recording's path
    assert "[1/2] " in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")  # shown after it was hidden


# Stopping -----------------------------------------------------------------------------------


@pytest.fixture
def pieces(tmp_path: Path, samples_folder: Path) -> Path:
    """Two recordings in pieces, enough to be stopped half-way."""
    folder = tmp_path / "pieces"
    folder.mkdir()
    for name, seconds in (("vad_example", 66), ("two_cities", 42)):
        for first in range(0, seconds, _PIECE_S):
            source = samples_folder / f"{name}.wav"
            cut(source, folder / f"{name}-{first:03d}.wav", first, _PIECE_S)
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_whole_files_and_the_next_run_goes_on(
    number: signal.Signals, pieces: Path
) -> None:
    total = len(list(pieces.glob("*.wav")))
    process = start(pieces, "--format", "txt,json")
    while process.poll() is None and not list(pieces.glob("*.json")):
        time.sleep(0.02)
    process.send_signal(number)
    begun_s = time.perf_counter()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert time.perf_counter() - begun_s < 45
    assert "Stopping" in err
    assert "Run the same command again to go on" in err
    assert "Traceback" not in err

    finished = {path.stem for path in pieces.glob("*.json")}
    assert 0 < len(finished) < total
    for path in pieces.glob("*.json"):
        assert json.loads(path.read_text())["schema"] == "lingting.transcript/1"
    assert {path.suffix for path in pieces.iterdir()} == {".wav", ".txt", ".json"}

    code, _, err = transcribe(pieces, "--format", "txt,json")
    assert code == 0
    assert f"{total} files: {total - len(finished)} done, {len(finished)} skipped" in err


# Places that cannot be written -----------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB, nearly full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        (disk / "ballast").write_bytes(b"x" * 56 * 1024)
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_a_typed_error(small_disk: Path, zoo: Zoo) -> None:
    code, out, _ = transcribe(zoo.good[0], "--format", "docx", "--output", small_disk, "--json")
    assert code == 3
    record = json.loads(out)
    assert record["error"]["code"] == "output.unwritable"
    assert "No space left" in record["error"]["message"]
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_a_read_only_disk_is_refused_before_the_work(small_disk: Path, zoo: Zoo) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, out, err = transcribe(zoo.good[0], "--output", small_disk)
    assert code == 2
    assert not out
    assert "not writable" in err
    code, _, err = transcribe(zoo.good[0], "--output", small_disk / "new")
    assert code == 2
    assert "Read-only file system" in err
