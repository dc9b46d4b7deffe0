"""FunASR's names for models and precisions, in ours."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from lingting import models
from lingting.api.funasr_names import model_name, precision, warn_of_code
from lingting.errors import OptionInvalid


@pytest.mark.parametrize(
    ("name", "hub", "expected"),
    [
        ("FunAudioLLM/Fun-ASR-Nano-2512", None, "fun-asr-nano"),
        ("FunAudioLLM/Fun-ASR-Nano-2512", "ms", "fun-asr-nano"),
        ("funaudiollm/fun-asr-nano-2512", "modelscope", "fun-asr-nano"),
        ("FunAudioLLM/Fun-ASR-Nano-2512", "hf", "fun-asr-nano-textonly"),
        ("fun-asr-nano", None, "fun-asr-nano"),
        ("fun-asr-nano-textonly", None, "fun-asr-nano-textonly"),
        ("FunAudioLLM/Fun-ASR-MLT-Nano-2512", "hf", "fun-asr-mlt-nano"),
        ("FunAudioLLM/Fun-ASR-Nano-2512-hf", None, "fun-asr-nano-hf"),
        ("iic/SenseVoiceSmall", None, "sensevoice-small"),
        ("FunAudioLLM/SenseVoiceSmall", "hf", "sensevoice-small"),
        ("paraformer-zh", None, "paraformer-zh"),
        ("fsmn-vad", None, "fsmn-vad"),
        ("iic/speech_fsmn_vad_zh-cn-16k-common-pytorch", None, "fsmn-vad"),
        ("whisper-base", "ms", "whisper-base"),
        ("somebody/else", None, "somebody/else"),
        ("auto", None, "auto"),
    ],
)
def test_models_of_the_hubs(name: str, hub: str | None, expected: str) -> None:
    assert model_name(name, hub) == expected


def test_every_name_leads_into_the_catalogue() -> None:
    from lingting.api import funasr_names

    for name in (*funasr_names._MODELS.values(), "fun-asr-nano", "fun-asr-nano-textonly"):
        assert name in models.catalogue()


def test_a_folder_of_a_hubs_name_is_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "iic" / "SenseVoiceSmall").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert model_name("iic/SenseVoiceSmall") == "iic/SenseVoiceSmall"


def test_a_hub_that_does_not_exist() -> None:
    with pytest.raises(OptionInvalid, match="ms and hf"):
        model_name("fun-asr-nano", "s3")


@pytest.mark.parametrize(
    ("compute", "options", "expected"),
    [
        ("auto", {}, "auto"),
        ("int8", {}, "int8"),
        ("float16", {}, "float16"),  # asked for by our own name: refused where it cannot be
        ("auto", {"bf16": True}, "bfloat16"),
        ("auto", {"bf16": False, "fp16": False}, "auto"),
        ("auto", {"dtype": "fp32"}, "float32"),
        ("auto", {"dtype": torch.bfloat16}, "bfloat16"),
        ("auto", {"llm_dtype": "bf16", "bf16": True}, "bfloat16"),
        ("bf16", {"bf16": True}, "bfloat16"),
    ],
)
def test_precisions(compute: str, options: dict[str, Any], expected: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert precision(compute, options, for_float16="bfloat16") == expected


@pytest.mark.parametrize("options", [{"fp16": True}, {"dtype": "float16"}, {"dtype": torch.half}])
def test_float16_becomes_what_the_model_can_do(options: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="!!!!.*bfloat16 is used"):
        assert precision("auto", options, for_float16="bfloat16") == "bfloat16"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert precision("auto", options, for_float16="float16") == "float16"


@pytest.mark.parametrize(
    ("compute", "options"),
    [
        ("auto", {"dtype": "float8"}),
        ("auto", {"dtype": "fp32", "bf16": True}),
        ("int8", {"bf16": True}),
    ],
)
def test_what_cannot_be_meant(compute: str, options: dict[str, Any]) -> None:
    with pytest.raises(OptionInvalid):
        precision(compute, options, for_float16="bfloat16")


def test_leave_to_run_code_is_not_used_and_this_is_said() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_code({"trust_remote_code": False, "remote_code": None})
    for options in ({"trust_remote_code": True}, {"remote_code": "./model.py"}):
        with pytest.warns(UserWarning, match="No code"):
            warn_of_code(options)
