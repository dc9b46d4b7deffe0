"""The engines for Fun-ASR models and servers: nothing said, named or asked for reaches a log."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lingting.api import load
from lingting.pipeline import PipelineOptions
from lingting.transcript import Transcript
from tests.integration.small_server import Asked, Reply, serving
from tests.integration.tiny_toolkit import write_paraformer, write_punctuator
from tests.tiny_checkpoints import write_original, write_sensevoice

pytestmark = pytest.mark.model

SAID = "Quincunxes"
NAMED = "vorzimmergespräch-zzyx"
HOTWORD = "Brumbleweft"
PROMPT = "Ostrakinda"
KEY = "sesame-0815"
OPTIONS = PipelineOptions(language="zh", words=True, hotwords=(HOTWORD,), prompt=PROMPT)
_LONG_ENOUGH = 6  # a shorter text of a model that speaks nonsense may stand anywhere


@pytest.fixture
def recording(samples_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / f"{NAMED}.wav"
    shutil.copyfile(samples_folder / "asr_example.wav", path)
    return path


def assert_silent(
    transcript: Transcript, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    printed = capfd.readouterr()
    texts = [printed.out, printed.err, str(transcript.failures), str(transcript.notes)]
    texts += [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    secrets = {SAID, NAMED, HOTWORD, PROMPT, KEY}
    secrets |= {one.spoken for one in transcript.segments if len(one.spoken) >= _LONG_ENOUGH}
    written = "\n".join(texts).lower()
    assert [secret for secret in secrets if secret.lower() in written] == []


def _paraformer(folder: Path) -> Path:
    return write_paraformer(folder)


def _nano(folder: Path) -> Path:
    write_original(folder, ctc=True)
    return folder


def _sensevoice(folder: Path) -> Path:
    write_sensevoice(folder)
    return folder


@pytest.mark.parametrize("write", [_nano, _sensevoice, _paraformer])
def test_models_of_fun_asr(
    write: Callable[[Path], Path],
    vad_folder: Path,
    recording: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("model", "marks"):
        (tmp_path / name).mkdir()
    write_punctuator(tmp_path / "marks")
    folder = str(write(tmp_path / "model"))
    with caplog.at_level(logging.DEBUG):
        made = load(folder, device="cpu", punctuation=str(tmp_path / "marks"), options=OPTIONS)
        transcript = made.transcribe(recording)
        made.close()
    assert transcript.segments
    assert_silent(transcript, caplog, capfd)


def _says(_: Asked) -> Reply:
    return Reply(body={"text": f"the {SAID}", "words": []})


def _refuses(_: Asked) -> Reply:
    return Reply(400, {"error": {"message": f"no {SAID} of {HOTWORD} in {PROMPT} by {KEY}"}})


def _breaks(_: Asked) -> Reply:
    return Reply(200, f"{SAID}, which is no JSON".encode(), {"X-Heard": "no"})


@pytest.mark.parametrize("answer", [_says, _refuses, _breaks])
def test_servers(
    answer: Callable[[Asked], Reply],
    vad_folder: Path,
    recording: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LINGTING_REMOTE_KEY", KEY)
    with serving(answer) as (address, server), caplog.at_level(logging.DEBUG):
        made = load(f"{address}/v1#tiny", options=OPTIONS)
        transcript = made.transcribe(recording)
        made.close()
    assert server.asked
    assert KEY in server.asked[0].headers["authorization"]
    assert NAMED not in str(server.asked[0].headers)
    assert bool(transcript.failures) == (answer is not _says)
    assert (SAID in transcript.text) == (answer is _says)
    assert_silent(transcript, caplog, capfd)
