"""``lingting eval`` with the real model, each system in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lingting.cli.loading import EngineRequest
from lingting.cli.measuring import Heard, Measurement, Ready, measure
from lingting.errors import ManifestInvalid
from tests.odd_files import pcm16, wav_bytes

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("whisper_folder", "vad_folder")]

PROGRAM = [sys.executable, "-c", "from lingting.cli.main import run; run()"]
SAID = "甚至出现交易几乎停滞的情况"


@pytest.fixture
def manifest(tmp_path: Path, samples_folder: Path) -> Path:
    """A sentence, a second of silence, and a file that is none."""
    import numpy as np

    shutil.copy(samples_folder / "asr_example.wav", tmp_path / "said.wav")
    (tmp_path / "silent.wav").write_bytes(wav_bytes(pcm16(np.zeros(16_000))))
    (tmp_path / "broken.wav").write_bytes(b"nothing of the kind" * 100)
    rows = [
        {"file": "said.wav", "language": "zh", "text": SAID, "duration_s": 4.2},
        {"file": "silent.wav", "language": "zxx", "text": "", "duration_s": 1.0},
        {"file": "broken.wav", "language": "en", "text": "two words", "duration_s": 1.0},
    ]
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def evaluate(manifest: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "eval", str(manifest), *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "LINGTING_OFFLINE": "1"},
        cwd=manifest.parent,
        check=False,
        timeout=280,
    )


def test_report_table_and_hypotheses(manifest: Path) -> None:
    done = evaluate(manifest, "--report", "report.json", "--hypotheses", "heard.jsonl")
    assert done.returncode == 3  # one clip failed
    assert "1 clips failed with audio.not_media" in done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0][:3] == ["language", "metric", "rate"]
    assert ["text on non-speech", "0 of 1"] in rows

    text = (manifest.parent / "report.json").read_text()
    report: dict[str, Any] = json.loads(text)
    assert report["system"] == "lingting"
    assert len(report["model"]["sha256"]) == 64
    assert report["no_speech"] == {"clips": 1, "with_text": []}
    assert report["failures"] == {"audio.not_media": 1}
    zh, en = (next(r for r in report["languages"] if r["language"] == tag) for tag in ("zh", "en"))
    assert zh["rate"] < 0.3
    assert zh["reference_units"] == len(SAID)
    assert en["deletions"] == 2
    assert report["speed"]["rtfx"] > 0.5
    assert report["speed"]["peak_rss_bytes"] > 50 << 20

    lines = (manifest.parent / "heard.jsonl").read_text().splitlines()
    heard = [json.loads(line) for line in lines]
    assert [one["file"] for one in heard] == ["said.wav", "silent.wav", "broken.wav"]
    assert heard[0]["text"] not in text
    assert heard[0]["text"] not in done.stderr
    assert heard[2]["failure"] == "audio.not_media"


def test_json_and_limit(manifest: Path) -> None:
    done = evaluate(manifest, "--json", "--limit", "1", "--quiet")
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)["manifest"]["clips"] == 1


def test_draws_show_how_far_chance_moves_a_rate(manifest: Path) -> None:
    done = evaluate(manifest, "--draws", "2", "--limit", "2", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["draw"] for one in told["reports"]] == [0, 1]
    spread = told["spreads"]["lingting"]["zh"]
    assert spread["draws"] == 2
    assert spread["lowest"] <= spread["mean"] <= spread["highest"] < 0.3


def test_peers_stand_beside_it(manifest: Path) -> None:
    done = evaluate(manifest, "--peers", "--limit", "2", "--json")
    assert done.returncode == 0, done.stderr
    reports = json.loads(done.stdout)["reports"]
    assert [one["system"] for one in reports] == [
        "lingting", "faster-whisper batched", "faster-whisper sequential",
    ]  # fmt: skip
    assert len({one["model"]["sha256"] for one in reports}) == 1
    assert "leaked" not in done.stderr


def test_a_warm_up_is_timed_apart_and_not_scored(manifest: Path) -> None:
    said: list[Ready | Heard] = []
    wanted = Measurement("lingting", manifest, 1, EngineRequest("whisper-base"), has_warm_up=True)
    report = measure(wanted, said.append, said.append)
    ready, *heard = said
    assert isinstance(ready, Ready)
    assert ready.load_s > 0
    assert ready.warm_up_s > 0.1
    assert [one.file for one in heard if isinstance(one, Heard)] == ["said.wav"]
    assert (report.clips, len(report.scored)) == (1, 1)


def test_errors_and_exceptions_cross_the_processes(manifest: Path, tmp_path: Path) -> None:
    engine = EngineRequest("whisper-base")
    with pytest.raises(ManifestInvalid, match="cannot be read"):
        measure(Measurement("lingting", tmp_path / "none.jsonl", None, engine), lambda _: None)

    def stop(heard: Heard) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(Measurement("lingting", manifest, None, engine), stop)
