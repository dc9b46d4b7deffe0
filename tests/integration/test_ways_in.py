"""Engines through every way in: command line, AutoModel, transcribe(); by folder and by address."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lingting
from lingting import AutoModel
from lingting.api.automodel import _sentence
from lingting.engines.base import Clip, Hypothesis
from lingting.engines.nano import work as work_module
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import OptionInvalid
from lingting.pipeline import Transcriber
from lingting.text.writers import write
from lingting.transcript import Transcript
from lingting.vad.fsmn import FsmnVad
from tests.integration.test_cli_program import lingting as program
from tests.tiny_checkpoints import write_hf, write_original, write_sensevoice

pytestmark = [pytest.mark.model, pytest.mark.speech]

CLIP = "zh-sensevoice-opening.mp3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "fun-asr-nano-tiny"
    write_original(path, ctc=True, seed=3)
    return path


@pytest.fixture
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_module, "_TOKENS_MOST", 12)


def test_the_command_line(folder: Path, vad_folder: Path, speech_dir: Path) -> None:
    done = program(
        "transcribe", speech_dir / CLIP, "--model", folder, "--device", "cpu", "--compute",
        "float32", "--threads", "1", "--language", "中文", "--words", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    transcript = Transcript.from_dict(row["transcript"])
    assert transcript.model is not None
    assert transcript.model.id == "fun-asr-nano-tiny"
    assert transcript.model.compute == "torch float32"
    assert transcript.language == "zh"
    assert transcript.segments
    assert {one.words_source for one in transcript.segments if one.words} <= {"ctc", "spread"}
    # Nonsense is doubted; whatever the guard decided is told, never the text.
    assert any(note.startswith("guard.") for note in transcript.notes)


def test_half_precision_is_refused_with_the_reason(
    folder: Path, vad_folder: Path, speech_dir: Path
) -> None:
    done = program("transcribe", speech_dir / CLIP, "--model", folder, "--compute", "float16")
    assert done.returncode == 2
    assert "!!!!" in done.stderr
    assert "bfloat16" in done.stderr


@pytest.mark.usefixtures("short_texts")
def test_auto_model_takes_scripts_as_they_are(
    folder: Path, vad_folder: Path, speech_dir: Path
) -> None:
    with pytest.warns(UserWarning, match="No code|!!!!") as warned:
        model = AutoModel(
            model=str(folder), trust_remote_code=True, remote_code="./model.py", device="cpu",
            vad_model="fsmn-vad", vad_kwargs={"max_single_segment_time": 30000}, hub="ms",
            fp16=True, disable_update=True,
        )  # fmt: skip
    assert len(warned) == 2
    assert model._transcriber is not None
    assert model._transcriber.engine.facts.model.compute == "torch bfloat16"
    (found,) = model.generate(
        input=[str(speech_dir / CLIP)], cache={}, batch_size=1, hotwords=["开放时间"],
        language="中文", itn=True, output_timestamp=True,
    )  # fmt: skip
    assert found["key"] == "zh-sensevoice-opening"
    assert "error" not in found
    starts = [word["start_time"] for word in found["timestamps"]]
    assert starts == sorted(starts)


@pytest.mark.usefixtures("short_texts")
def test_transcribe_in_python(tmp_path: Path, vad_folder: Path, speech_dir: Path) -> None:
    write_hf(tmp_path / "mlt-nano", "flat")
    found = lingting.transcribe(
        speech_dir / CLIP, model=str(tmp_path / "mlt-nano"), device="cpu", compute="fp32",
        language="German", words=True,
    )  # fmt: skip
    assert found.language == "de" or found.segments[0].failure is not None
    with pytest.raises(OptionInvalid):
        lingting.load(str(tmp_path / "mlt-nano"), device="cpu", compute="float16")


def test_the_list_tells_which_engine_runs_a_model() -> None:
    done = program("models", "list", "--json")
    rows: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    engines = {row["name"]: row["engine"] for row in rows}
    assert engines["fun-asr-nano"] == engines["fun-asr-mlt-nano"] == "nano"
    assert engines["sensevoice-small"] == "sensevoice"
    assert engines["paraformer-zh"] == "funasr"
    assert engines["whisper-base"] == "whisper"
    assert engines["fsmn-vad"] is None


def test_sensevoice_by_its_folder(tmp_path: Path, vad_folder: Path, speech_dir: Path) -> None:
    write_sensevoice(tmp_path / "SenseVoiceSmall")
    done = program(
        "transcribe", speech_dir / CLIP, "--model", tmp_path / "SenseVoiceSmall", "--json",
        "--device", "cpu", "--threads", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)["transcript"]
    assert row["model"]["id"] == "SenseVoiceSmall"
    assert row["model"]["compute"] == "torch int8"
    for segment in row["segments"]:
        assert segment["emotion"] is None or segment["emotion"].islower()
        assert isinstance(segment["events"], list)


def test_a_server_nobody_runs(vad_folder: Path, speech_dir: Path) -> None:
    """The address reaches the remote engine; it is no folder and no misspelt name."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can answer there
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1#fun-asr-nano"
        done = program("transcribe", speech_dir / CLIP, "--model", address)
    assert done.returncode == 1
    assert "[engine.unreachable]" in done.stderr


def test_emotion_and_events_reach_every_form(vad_folder: Path, speech_dir: Path) -> None:
    def hears(clip: Clip) -> Hypothesis:
        return Hypothesis("开放时间。", "zh", emotion="happy", events=("music", "laughter"))

    heard = Transcriber(ScriptedEngine(hears), FsmnVad(vad_folder)).transcribe(speech_dir / CLIP)
    assert heard.segments
    document = json.loads(write(heard, "json"))
    for segment in document["segments"]:
        assert segment["emotion"] == "happy"
        assert segment["events"] == ["music", "laughter"]
        assert segment["words_source"] is None
    assert Transcript.from_dict(document) == heard
    assert "happy" not in heard.text
    sentence = _sentence(heard.segments[0])
    assert (sentence["emotion"], sentence["events"]) == ("happy", ["music", "laughter"])
    assert "emotion" not in _sentence(replace(heard.segments[0], emotion=None, events=()))
