"""A run over several recordings with a scripted recogniser: order, skipping, gaps, stopping."""

from __future__ import annotations

import json
import shutil
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from lingting.cli.batch import Batch, Job, Wish
from lingting.cli.inputs import find_inputs
from lingting.cli.output import Output
from lingting.cli.stopping import Stopped, Stops
from lingting.cli.targets import plan_targets
from lingting.engines.base import Clip, Hypothesis
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import EngineFailed
from lingting.pipeline import Transcriber
from lingting.vad.fsmn import FsmnVad

Run = Callable[..., int]


@pytest.fixture
def here(tmp_path: Path, samples_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two short recordings with a broken one between, and a long one."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(samples_folder / "asr_example.wav", "1.wav")
    Path("2.wav").write_bytes(b"")
    shutil.copy(samples_folder / "asr_example.wav", "3.wav")
    return tmp_path


def said(clip: Clip) -> Hypothesis:
    return Hypothesis("一二三", "zh", confidence=0.9)


@pytest.fixture
def run(here: Path, vad_folder: Path) -> Run:
    vad = FsmnVad(vad_folder)

    def run_(
        *given: str,
        formats: tuple[str, ...] = (),
        stdout: str = "nothing",
        script: Callable[[Clip], Hypothesis] | None = said,
        force: bool = False,
    ) -> int:
        inputs = find_inputs(given)
        suffixes = [f".{name}" for name in formats] if stdout != "format" else []
        targets = plan_targets(inputs, suffixes, None)
        jobs = [Job(one, row) for one, row in zip(inputs, targets, strict=True)]
        wish = Wish(formats, stdout, force=force)  # type: ignore[arg-type]
        batch = Batch(jobs, wish, Output(), Stops())
        if script is None:
            assert not batch.needs_engine
            return batch.run(None)
        return batch.run(Transcriber(ScriptedEngine(script), vad))

    return run_


def test_each_ends_as_it_deserves_in_order(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("1.wav", formats=("txt",)) == 0
    capfd.readouterr()
    assert run("1.wav", "2.wav", "3.wav", "4.wav", formats=("txt",), stdout="json") == 3
    out, err = capfd.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    assert [(one["file"], one["status"], one["outputs"]) for one in records] == [
        ("1.wav", "skipped", ["1.txt"]),
        ("2.wav", "failed", []),
        ("3.wav", "done", ["3.txt"]),
        ("4.wav", "failed", []),
    ]
    assert records[1]["error"]["code"] == "audio.empty"
    assert records[2]["transcript"]["text"] == Path("3.txt").read_text().strip()
    assert records[3]["error"]["code"] == "audio.not_found"
    assert "transcript" not in records[0]
    assert "4 files: 1 done, 1 skipped, 2 failed" in err
    assert "2.wav: error: There are 0 bytes" in err


def test_a_finished_run_needs_no_engine_until_forced(run: Run) -> None:
    assert run("1.wav", "3.wav", formats=("txt", "json")) == 0
    before = Path("1.json").stat().st_mtime_ns
    assert run("1.wav", "3.wav", formats=("txt", "json"), script=None) == 0
    assert run("1.wav", "3.wav", formats=("txt", "json"), force=True) == 0
    assert Path("1.json").stat().st_mtime_ns > before
    Path("3.txt").unlink()  # one of two results is missing: that recording is done again
    assert run("3.wav", formats=("txt", "json")) == 0
    assert Path("3.txt").exists()


def test_text_of_several_recordings_has_headings(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("1.wav", "3.wav", stdout="text") == 0
    text = capfd.readouterr().out
    one, other = text.split("\n\n")
    assert one.startswith("==> 1.wav <==\n")
    assert other.startswith("==> 3.wav <==\n")
    assert run("1.wav", stdout="text") == 0
    assert capfd.readouterr().out == one.split("\n", 1)[1] + "\n"


def test_one_format_to_stdout(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("1.wav", formats=("vtt",), stdout="format") == 0
    assert capfd.readouterr().out.startswith("WEBVTT\n")
    assert not Path("1.vtt").exists()


def test_speech_that_was_not_recognised_is_told_and_counts(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(clip: Clip) -> Hypothesis:
        raise EngineFailed("The recogniser failed on this clip.")

    assert run("1.wav", formats=("json",), script=fails) == 3
    err = capfd.readouterr().err
    assert "1 of 1 segments could not be recognised" in err
    assert "engine.failed" in err
    assert json.loads(Path("1.json").read_text())["segments"][0]["failure"]


def test_what_cannot_be_saved_fails_alone(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    Path("1.txt").mkdir()
    assert run("1.wav", "3.wav", formats=("txt",)) == 3
    assert "output.unwritable" in capfd.readouterr().err
    assert Path("3.txt").read_text().strip()


def test_stopping_keeps_what_is_finished_and_leaves_no_half(
    run: Run, here: Path, samples_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(10, 30):
        shutil.copy(samples_folder / "asr_example.wav", f"{number}.wav")
    clips = iter(range(1000))

    def stops_later(clip: Clip) -> Hypothesis:
        if next(clips) == 12:
            raise Stopped(2)
        return said(clip)

    names = [f"{number}.wav" for number in range(10, 30)]
    assert run(*names, formats=("txt",), script=stops_later) == 130
    err = capfd.readouterr().err
    finished = sorted(path.name for path in here.glob("[12]?.txt"))
    assert 0 < len(finished) < 20
    assert f"Stopped after {len(finished)} of 20 files" in err
    assert "Run the same command again" in err
    assert not list(here.glob(".lingting-*"))
    assert run(*names, formats=("txt",)) == 0
    assert f"{20 - len(finished)} done, {len(finished)} skipped" in capfd.readouterr().err


def test_no_text_is_explained(
    run: Run, here: Path, speech_free: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing on stdout could mean anything: silence and speech that was not understood differ."""

    def unclear(clip: Clip) -> Hypothesis:
        return Hypothesis("", "zh", notes=("guard.non_speech",))

    assert run("1.wav", stdout="text", script=unclear) == 0
    assert "s of speech, but no text that can be trusted" in capfd.readouterr().err
    assert run(speech_free.name, stdout="text", script=unclear) == 0
    assert capfd.readouterr().err == f"{speech_free.name}: no speech found\n"
    assert run("1.wav", speech_free.name, stdout="text", script=unclear) == 0
    lines = capfd.readouterr().err.splitlines()
    assert "of speech, but no text" in lines[0]
    assert lines[1].endswith("no speech found")
    assert run("1.wav", stdout="text") == 0
    assert capfd.readouterr().err == ""


@pytest.fixture
def speech_free(here: Path) -> Path:
    """Three seconds of nothing."""
    path = here / "quiet.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 48_000))
    return path
