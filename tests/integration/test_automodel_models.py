"""Scripts written for FunASR with its own models: tiny checkpoints, real files, real speech."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lingting import AutoModel
from lingting.errors import ModelNotInstalled, ModelUnknown, OptionInvalid
from tests.integration.tiny_toolkit import write_paraformer, write_punctuator
from tests.tiny_checkpoints import write_original, write_sensevoice

pytestmark = [pytest.mark.model, pytest.mark.speech]

ZH = "zh-aishell3-ssb02670376.flac"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("models")
    for name in ("nano", "sensevoice", "paraformer", "punctuation"):
        (base / name).mkdir()
    write_original(base / "nano", ctc=True)
    write_sensevoice(base / "sensevoice")
    write_paraformer(base / "paraformer")
    write_punctuator(base / "punctuation")
    return base


@pytest.fixture(scope="module")
def nano(folders: Path, vad_folder: Path) -> Iterator[AutoModel]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no code of a model is run
        yield AutoModel(
            model=str(folders / "nano"),
            vad_model="fsmn-vad",
            vad_kwargs={"max_single_segment_time": 30000},
            device="cpu",
            hub="ms",
            trust_remote_code=True,
            disable_update=True,
            ncpu=1,
        )


def test_upstreams_call_of_nano(nano: AutoModel, speech_dir: Path) -> None:
    (found,) = nano.generate(
        input=[str(speech_dir / ZH)],
        cache={},
        batch_size=1,
        batch_size_s=300,
        merge_vad=True,
        merge_length_s=15,
        hotwords=["开放时间"],
        language="中文",
        itn=True,
    )
    assert found["key"] == "zh-aishell3-ssb02670376"
    assert found["language"] == "zh"
    assert "error" not in found
    # A tiny model speaks nonsense, which the guard takes away: that is said, not silent.
    assert found["text"] or found["notes"]


def test_upstreams_call_of_sensevoice(folders: Path, vad_folder: Path, speech_dir: Path) -> None:
    model = AutoModel(model=str(folders / "sensevoice"), punc_model=None, spk_model=None, ngpu=0)
    (found,) = model.generate(
        input=str(speech_dir / ZH),
        cache={},
        language="auto",
        use_itn=True,
        batch_size_s=60,
        merge_vad=True,
        merge_length_s=15,
        ban_emo_unk=False,
    )
    assert "error" not in found
    assert "<|" not in found["text"]
    assert found["text"] or found["notes"]


def test_paraformer_with_its_punctuation(
    folders: Path, vad_folder: Path, speech_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lingting.engines.funasr import Punctuator

    monkeypatch.setattr(Punctuator, "punctuate", lambda _, text: f"{text}。")
    paraformer = str(folders / "paraformer")
    model = AutoModel(paraformer, device="cpu", punc_model=str(folders / "punctuation"))
    (found,) = model.generate(
        input=str(speech_dir / ZH), batch_size_s=300, hotword="魔搭", sentence_timestamp=True
    )
    assert found["text"].endswith("。")
    assert found["sentence_info"][-1]["timestamp"]
    assert found["text"].startswith(found["sentence_info"][0]["text"])


def test_paraformers_punctuation_really_runs(
    folders: Path, vad_folder: Path, speech_dir: Path
) -> None:
    given: dict[str, Any] = {"model": str(folders / "paraformer"), "device": "cpu"}
    bare = AutoModel(**given).generate(input=str(speech_dir / ZH))[0]["text"]
    marked = AutoModel(**given, punc_model=str(folders / "punctuation"))
    text = marked.generate(input=str(speech_dir / ZH))[0]["text"]
    assert text != bare
    assert letters(text) == letters(bare)


def letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def test_models_that_write_marks_are_left_alone(
    folders: Path, vad_folder: Path, speech_dir: Path
) -> None:
    model = AutoModel(model=str(folders / "sensevoice"), device="cpu", punc_model="ct-punc")
    assert model.generate(input=str(speech_dir / ZH))[0].get("error") is None


@pytest.mark.parametrize(
    ("options", "error", "advice"),
    [
        ({"model": "ct-punc"}, OptionInvalid, "punc_model"),
        (
            {"model": "iic/punc_ct-transformer_cn-en-common-vocab471067-large"},
            OptionInvalid,
            "punc",
        ),
        ({"model": "cam++"}, OptionInvalid, "load_embedder"),
        ({"spk_model": "cam++"}, OptionInvalid, "Speakers"),
        ({"vad_model": "silero-vad"}, OptionInvalid, "fsmn-vad"),
        ({"punc_model": "ct-punk"}, ModelUnknown, "ct-punc"),
        ({"punc_model": "ct-punc"}, ModelNotInstalled, "lingting models import ct-punc"),
    ],
)
def test_what_cannot_be_had_is_said_with_a_way_out(
    folders: Path,
    vad_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    error: type[Exception],
    advice: str,
) -> None:
    monkeypatch.setenv("LINGTING_OFFLINE", "1")
    with pytest.raises(error) as caught:
        AutoModel(**({"model": str(folders / "paraformer"), "device": "cpu"} | options))
    assert advice in str(caught.value)
