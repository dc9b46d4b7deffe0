"""The peer runs for real: whisper-base, two clips of speech and one without."""

import json
from pathlib import Path

import pytest

from lingting import models
from lingting.errors import LingtingError
from lingting.evaluate.manifest import read_manifest
from lingting.evaluate.peers import MODES, FasterWhisper, Mode
from lingting.evaluate.report import compare
from lingting.evaluate.run import evaluate

SPEECH = Path(__file__).parents[3] / "shared" / "speech"
CLIPS = ("en-jfk.flac", "zh-aishell1-s0002w0122.flac")


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return models.path("whisper-base")
    except LingtingError as exc:
        pytest.skip(f"whisper-base is not installed: {exc.code}")


@pytest.mark.speech
@pytest.mark.model
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("mode", MODES)
def test_peer_is_measured(tmp_path: Path, folder: Path, mode: Mode) -> None:
    if not SPEECH.is_dir():
        pytest.skip("the recordings of shared/speech are not beside the repository")
    rows = [json.loads(line) for line in (SPEECH / "manifest.jsonl").read_text().splitlines()]
    chosen = [{**row, "file": str(SPEECH / row["file"])} for row in rows if row["file"] in CLIPS]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, chosen)), encoding="utf-8")

    peer = FasterWhisper(folder, mode, threads=2)
    report = evaluate(read_manifest(tmp_path / "m.jsonl"), peer, peer.subject())

    rates = {result.language: result.score.rate for result in report.languages}
    assert set(rates) == {"en", "zh"}
    assert rates["en"] is not None
    assert rates["en"] < 0.1
    assert rates["zh"] is not None
    assert rates["zh"] < 0.7
    assert not report.failures
    assert report.rtfx > 0
    assert report.audio_s == pytest.approx(17, abs=0.5)
    assert compare([[report]])[0][1] == f"faster-whisper {mode}"
