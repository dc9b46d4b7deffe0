"""The program itself, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lingting import __version__

PROGRAM = [sys.executable, "-m", "lingting"]


def lingting(
    *arguments: str | Path, env: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Offline, so that a missing model is an error and never a download."""
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "LINGTING_OFFLINE": "1", **(env or {})},
        check=False,
        timeout=120,
        **options,
    )


def test_help_names_the_commands() -> None:
    """That it comes at once is measured by bench/startup.py; what it loads, by test_imports.py."""
    done = lingting("--help")
    assert done.returncode == 0
    assert "transcribe" in done.stdout


COMMANDS = (
    "transcribe", "eval", "vad", "languages", "config", "version",
    "models list", "models pull", "models verify", "models path", "models import",
    "models convert", "history list", "history show", "history export", "search", "db reindex",
    "history tag", "history delete", "history undo", "history purge", "backup", "restore",
    "db upgrade", "db check",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    done = lingting(*command.split(), "--help")
    assert done.returncode == 0
    described = " ".join(done.stdout.split("╭")[0].split())
    assert re.search(rf"Examples?: .*lingting {command}", described)


def test_version() -> None:
    for argument in ("--version", "version"):
        assert lingting(argument).stdout == f"lingting {__version__}\n"


def test_config_tells_where_each_setting_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "lingting.toml"
    file.write_text("threads = 3\n")
    env = {"LINGTING_CONFIG": str(file), "LINGTING_LOG_LEVEL": "info"}
    rows = [json.loads(line) for line in lingting("config", "--json", env=env).stdout.splitlines()]
    found = {row["name"]: (row["value"], row["from"]) for row in rows}
    assert found["threads"] == (3, "lingting.toml")
    assert found["log_level"] == ("info", "environment")
    assert found["max_duration_s"] == (43200.0, "default")


def test_languages() -> None:
    rows = [json.loads(line) for line in lingting("languages", "--json").stdout.splitlines()]
    yue = next(row for row in rows if row["code"] == "yue")
    assert yue["chinese"] == "粤语"
    assert "fun-asr-nano" in yue["models"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["transcribe", "a.wav", "--language", "klingon"], "language.unknown"),
        (["transcribe", "a.wav", "--format", "mp3"], "option.invalid"),
        (["transcribe", "a.wav", "--format", "txt,srt", "--output", "-"], "takes one format"),
        (["transcribe", "a.wav", "b.wav", "--output", "-"], "takes one recording"),
        (["transcribe", "a.wav", "--json", "--output", "-"], "both claim"),
        (["transcribe", "a.wav", "--beam-size", "99"], "beam-size"),
        (["transcribe", "a.wav", "--model", "whisper-bse"], "whisper-base"),
        (["transcribe", "a.wav", "--model", "cam++"], "no recogniser for cam++"),
        (["transcribe", "a.wav", "--output", __file__], "--output names a file"),
        (["transcribe", "a.wav", "--hotwords-file", "nothing"], "cannot be read"),
        (["transcribe", "a.wav", "--max-duration", "-1"], "max_duration_s"),
        (["transcribe"], "Missing argument"),
        (["transcribe", "a.wav", "--wrods"], "--words"),
        (["models", "path", "nothing"], "model.unknown"),
        (["eval", "nothing.jsonl"], "manifest.invalid"),
        (["vad", "a.wav", "--threshold", "7"], "option.invalid"),
        (["trnscribe"], "transcribe"),
    ],
)
def test_a_wrong_request_is_2_with_the_reason(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    done = lingting(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert not done.stdout
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_misspelt_setting_is_a_sentence() -> None:
    done = lingting("config", env={"LINGTING_THREDS": "2"})
    assert done.returncode == 2
    assert "LINGTING_THREADS" in done.stderr


def test_a_missing_model_names_the_commands_that_bring_it(tmp_path: Path, tiny_wav: Path) -> None:
    done = lingting("transcribe", tiny_wav, env={"LINGTING_HOME": str(tmp_path / "home")})
    assert done.returncode == 2
    assert "model.not_installed" in done.stderr
    assert "lingting models import whisper-base" in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_missing_model_is_announced_and_fetched_when_that_is_allowed(
    tmp_path: Path, tiny_wav: Path
) -> None:
    nowhere = "http://127.0.0.1:9"
    env = {
        "LINGTING_HOME": str(tmp_path / "home"),
        "LINGTING_OFFLINE": "0",
        "PIP_NO_INDEX": "1",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
    }
    done = lingting("transcribe", tiny_wav, env=env)
    assert done.returncode == 1
    first, *_ = done.stderr.splitlines()
    assert first == "Fetching the model whisper-base (143.3 MiB, MIT) …"
    assert "model.source_unreachable" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_stdout(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = lingting("version", stdout=full)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_closed_stdout_is_told_before_the_work(tiny_wav: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *PROGRAM, "transcribe", str(tiny_wav)],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2
    assert "Standard output is closed" in done.stderr


def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = lingting("languages", "--json", stdout=writer)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


def test_models_are_listed_imported_and_verified(tmp_path: Path, vad_folder: Path) -> None:
    home = {"LINGTING_HOME": str(tmp_path)}
    rows = [
        json.loads(line)
        for line in lingting("models", "list", "--json", env=home).stdout.splitlines()
    ]
    assert {row["state"] for row in rows} == {"missing"}
    assert {row["name"] for row in rows if not row["is_pinned"]}
    assert "pins local" in lingting("models", "list", env=home).stdout

    assert lingting("models", "verify", "fsmn-vad", env=home).returncode == 1
    done = lingting("models", "import", "fsmn-vad", vad_folder, env=home)
    assert done.returncode == 0, done.stderr
    assert lingting("models", "verify", "fsmn-vad", env=home).returncode == 0
    folder = Path(lingting("models", "path", "fsmn-vad", env=home).stdout.strip())
    assert folder == tmp_path / "models" / "fsmn-vad"
    done = lingting("models", "pull", "fsmn-vad", env=home)  # installed: nothing to fetch
    assert done.returncode == 0, done.stderr

    with (folder / "am.mvn").open("ab") as file:
        file.write(b" ")
    done = lingting("models", "verify", "fsmn-vad", "--json", env=home)
    assert done.returncode == 1
    states = {one["path"]: one["state"] for one in json.loads(done.stdout)["files"]}
    assert states["am.mvn"] == "changed"
    assert states["model.onnx"] == "ok"
    done = lingting("vad", "nothing.wav", env=home)
    assert done.returncode == 1
    assert "--force" in done.stderr


def test_vad_prints_spans(samples_folder: Path, vad_folder: Path, tmp_path: Path) -> None:
    shutil.copy(samples_folder / "asr_example.wav", tmp_path / "a.wav")
    done = lingting("vad", "a.wav", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["file"] == "a.wav"
    assert found["duration_s"] == pytest.approx(4.204, abs=0.01)
    ((start_s, end_s),) = found["spans"]
    assert 0 <= start_s < end_s <= found["duration_s"]
    table = lingting("vad", "a.wav", cwd=tmp_path).stdout.splitlines()
    assert table[0] == "start_s\tend_s\tduration_s"
    assert table[1].startswith(f"{start_s:.3f}\t{end_s:.3f}")
    # A level nothing reaches: the option arrives at the detector.
    done = lingting("vad", "a.wav", "--json", "--min-level-db", "30", cwd=tmp_path)
    assert json.loads(done.stdout)["spans"] == []
    done = lingting("vad", "nothing.wav", cwd=tmp_path)
    assert done.returncode == 3
    assert "nothing.wav: error: Nothing is at this path" in done.stderr
