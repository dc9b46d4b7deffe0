"""Names, shapes and prompts beside the publishers' own code: the toolkit and transformers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lingting import models
from lingting.engines.nano.adaptor import Adaptor, AdaptorConfig
from lingting.engines.nano.config import parse_config
from lingting.engines.nano.decoder import Qwen3, Qwen3Config
from lingting.engines.nano.layout import open_checkpoint
from lingting.engines.nano.names import canonical_sources, naming_of
from lingting.engines.nano.prompt import PromptOptions, build
from lingting.engines.neural.checkpoints import open_tensors
from lingting.engines.neural.sanm import SanmConfig, SanmEncoder
from lingting.errors import ModelNotInstalled
from tests.tiny_checkpoints import (
    Sizes,
    canonical_state,
    encoder_shapes,
    qwen_shapes,
    transformer_shapes,
    write_hf,
)


@pytest.fixture(autouse=True)
def only_our_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.model
def test_a_published_file_is_read_as_pytorch_reads_it() -> None:
    """FSMN-VAD's model.pt, the one published pickle that every test machine has."""
    try:
        path = models.path("fsmn-vad") / "model.pt"
    except ModelNotInstalled:
        pytest.skip("fsmn-vad is not installed: lingting models pull fsmn-vad")
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    ours = open_tensors(path)
    assert set(ours.names()) == set(theirs)
    assert len(theirs) > 10
    for name, tensor in theirs.items():
        assert torch.equal(ours.read(name), tensor), name
    assert open_tensors(path.parent).names() == ours.names()


def shapes(module: torch.nn.Module, prefix: str = "") -> dict[str, tuple[int, ...]]:
    return {prefix + name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def test_the_tiny_checkpoint_has_the_toolkits_names() -> None:
    from funasr.models.llm_asr.adaptor import Transformer
    from funasr.models.sense_voice.model import SenseVoiceEncoderSmall

    sizes = Sizes()
    encoder = SenseVoiceEncoderSmall(
        input_size=sizes.features,
        output_size=sizes.width,
        attention_heads=sizes.heads,
        linear_units=sizes.units,
        num_blocks=sizes.blocks,
        tp_blocks=sizes.tp_blocks,
        kernel_size=sizes.kernel,
        sanm_shfit=0,
    )
    assert shapes(encoder, "audio_encoder.") == encoder_shapes(sizes)
    adaptor = Transformer(
        downsample_rate=1,
        encoder_dim=sizes.width,
        llm_dim=sizes.hidden,
        ffn_dim=sizes.projector,
        n_layer=sizes.adaptor_blocks,
        attention_heads=sizes.adaptor_heads,
    )
    assert shapes(adaptor, "audio_adaptor.") == transformer_shapes(
        "audio_adaptor", sizes.width, sizes.projector, sizes.hidden, sizes.adaptor_blocks
    )


def test_the_prompt_is_the_toolkits() -> None:
    from funasr.models.fun_asr_nano.model import FunASRNano

    for language, label in ((None, None), ("zh", "中文"), ("ja", "日文"), ("th", "泰语")):
        for itn in (True, False):
            for hotwords in ((), ("开放时间",), ("a", "b c")):
                theirs = FunASRNano.get_prompt(None, list(hotwords), label, itn)
                ours = build(PromptOptions(language, itn, hotwords)).before
                assert ours.removeprefix(build(PromptOptions()).before.split("语音")[0]) == theirs


def test_the_labels_are_those_of_the_hugging_face_port() -> None:
    from transformers.models.fun_asr_nano import processing_fun_asr_nano as port

    for code in ("zh", "en", "ja"):
        label = port.LANGUAGE_CODE_TO_NAME[code]
        assert build(PromptOptions(code)).before.endswith(f"语音转写成{label}：")


def port_model(config: dict[str, Any]) -> torch.nn.Module:
    from transformers import FunAsrNanoConfig, FunAsrNanoForConditionalGeneration

    with torch.device("meta"):
        model: torch.nn.Module = FunAsrNanoForConditionalGeneration(FunAsrNanoConfig(**config))
    return model


def test_the_flat_layout_is_the_ports_own(tmp_path: Path) -> None:
    """What write_hf writes loads in transformers; what transformers writes loads here."""
    from transformers import FunAsrNanoForConditionalGeneration

    state = write_hf(tmp_path / "ours", "flat")
    model, info = FunAsrNanoForConditionalGeneration.from_pretrained(
        tmp_path / "ours", output_loading_info=True, dtype=torch.float32
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    model.save_pretrained(tmp_path / "theirs", max_shard_size="100KB")
    assert len(list((tmp_path / "theirs").glob("*.safetensors"))) > 1
    (tmp_path / "ours" / "tokenizer.json").rename(tmp_path / "theirs" / "tokenizer.json")
    found = open_checkpoint(tmp_path / "theirs")
    assert found.layout == "hf-flat"
    assert set(found.tensors.names()) == set(state)
    for name, tensor in state.items():
        assert torch.equal(found.tensors.read(name), tensor), name


def full_size_names(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {
        name: shape
        for name, shape in shapes(port_model(config)).items()
        if name != "lm_head.weight"  # tied: no file has it
    }


def test_every_tensor_of_the_full_model_finds_its_place() -> None:
    """1,540 tensors of the port become the 1,260 of the original, each in its own shape."""
    theirs = full_size_names({})
    assert len(theirs) == 1540
    naming = naming_of(theirs)
    assert naming == "flat"
    sources = canonical_sources(theirs, naming, 50, 20)
    found = {name: joined_shape(theirs, source) for name, source in sources.items()}
    with torch.device("meta"):
        encoder, adaptor = SanmEncoder(SanmConfig()), Adaptor(AdaptorConfig())
        decoder = Qwen3(Qwen3Config())
    assert {n: s for n, s in found.items() if n.startswith("audio_encoder.")} == shapes(
        encoder, "audio_encoder."
    )
    assert {n: s for n, s in found.items() if n.startswith("audio_adaptor.")} == shapes(
        adaptor, "audio_adaptor."
    )
    llm = {n.removeprefix("llm."): s for n, s in found.items() if n.startswith("llm.")}
    joined = decoder.sources(llm)
    assert {name: joined_shape(llm, source) for name, source in joined.items()} == shapes(decoder)
    assert len(found) == 914 + 36 + 310  # of the original, without its copy of the output layer


def joined_shape(
    theirs: dict[str, tuple[int, ...]], source: str | tuple[str, ...]
) -> tuple[int, ...]:
    parts = [theirs[name] for name in ((source,) if isinstance(source, str) else source)]
    return (sum(part[0] for part in parts), *parts[0][1:])


def test_sizes_are_read_from_the_ports_own_configuration(tmp_path: Path) -> None:
    from transformers import FunAsrNanoConfig

    FunAsrNanoConfig().save_pretrained(tmp_path)
    found = parse_config(tmp_path / "config.json")
    assert found.encoder == SanmConfig()
    assert found.adaptor == AdaptorConfig(layer_norm_eps=1e-5)
    assert (found.decoder.num_hidden_layers, found.decoder.num_key_value_heads) == (28, 8)
    assert (found.decoder.vocab_size, found.decoder.head_dim) == (151_936, 128)
    assert json.loads((tmp_path / "config.json").read_text("utf-8"))["model_type"] == "fun_asr_nano"


def test_the_language_model_has_qwens_names() -> None:
    from transformers import Qwen3Config as TheirConfig
    from transformers import Qwen3ForCausalLM

    from tests.tiny_checkpoints import qwen_config

    with torch.device("meta"):
        model = Qwen3ForCausalLM(TheirConfig(**qwen_config(Sizes())))
    theirs = shapes(model, "llm.")
    assert theirs.pop("llm.lm_head.weight") == theirs["llm.model.embed_tokens.weight"]
    assert theirs == qwen_shapes(Sizes())
    assert set(theirs) <= set(canonical_state())
