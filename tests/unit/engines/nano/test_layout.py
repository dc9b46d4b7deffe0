"""A checkpoint of any published layout opens as the same model; a broken one says what is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lingting.engines.nano.layout import (
    NOTE_CTC_INCOMPLETE,
    NOTE_CTC_VOCABULARY,
    Checkpoint,
    is_nano_folder,
    known_languages,
    open_checkpoint,
)
from lingting.engines.nano.names import naming_of
from lingting.engines.nano.prompt import MLT_LANGUAGES, NANO_LANGUAGES
from lingting.errors import ModelUnknown, WeightsInvalid
from lingting.models.receipt import Entry, Receipt, write_receipt
from tests.tiny_checkpoints import (
    Sizes,
    State,
    canonical_state,
    hf_state,
    write_hf,
    write_original,
    write_safetensors,
    write_tokenizer,
    write_vllm,
    write_yaml,
)

Write = Callable[[Path], State]
LAYOUTS: dict[str, tuple[Write, str]] = {
    "original with CTC": (lambda folder: write_original(folder, ctc=True), "original"),
    "original without CTC": (lambda folder: write_original(folder, ctc=False), "original"),
    "original, bfloat16": (
        lambda folder: write_original(folder, dtype=torch.bfloat16),
        "original",
    ),
    "Hugging Face, flat": (lambda folder: write_hf(folder, "flat"), "hf-flat"),
    "Hugging Face, flat, shards": (lambda folder: write_hf(folder, "flat", shards=3), "hf-flat"),
    "Hugging Face, split": (lambda folder: write_hf(folder, "split"), "hf-split"),
    "Hugging Face, first split": (lambda folder: write_hf(folder, "split-first"), "hf-split"),
    "vLLM": (write_vllm, "vllm"),
}


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_layout_is_the_same_model(tmp_path: Path, name: str) -> None:
    write, layout = LAYOUTS[name]
    state = write(tmp_path / "any name")
    found = open_checkpoint(tmp_path / "any name")
    assert found.layout == layout
    assert set(found.tensors.names()) == set(state) - {"llm.lm_head.weight"}
    for tensor in found.tensors.names():
        assert torch.equal(found.tensors.read(tensor), state[tensor]), tensor
    assert_sizes(found)
    assert found.open_tokenizer().decode(found.open_tokenizer().encode("你好")) == "你好"
    assert found.notes == ()


def assert_sizes(found: Checkpoint) -> None:
    sizes, config = Sizes(), found.config
    encoder, adaptor, decoder = config.encoder, config.adaptor, config.decoder
    assert (encoder.input_size, encoder.output_size, encoder.attention_heads) == (560, 32, 4)
    assert (encoder.num_blocks, encoder.tp_blocks, encoder.linear_units) == (3, 2, 48)
    assert (adaptor.input_size, adaptor.projector_size, adaptor.output_size) == (32, 40, 64)
    assert (adaptor.attention_heads, adaptor.linear_units, adaptor.num_blocks) == (2, 16, 2)
    assert (decoder.vocab_size, decoder.hidden_size, decoder.head_dim) == (sizes.vocabulary, 64, 24)
    assert (decoder.num_key_value_heads, decoder.rope_theta) == (2, 1e6)
    assert decoder.tie_word_embeddings


def test_the_ctc_branch_is_found_where_it_is(tmp_path: Path) -> None:
    write_original(tmp_path / "with", ctc=True)
    write_original(tmp_path / "without", ctc=False)
    found = open_checkpoint(tmp_path / "with")
    ctc = found.config.ctc
    assert found.has_ctc
    assert ctc is not None
    assert (ctc.classes, ctc.blank, ctc.decoder.num_blocks) == (263, 262, 5)
    assert (ctc.decoder.output_size, ctc.decoder.linear_units) == (24, 6)
    assert sum(name.startswith("ctc") for name in found.tensors.names()) == 86
    assert found.ctc_vocabulary == tmp_path / "with" / "multilingual.tiktoken"
    assert not open_checkpoint(tmp_path / "without").has_ctc


@pytest.mark.parametrize("name", ["ctc.ctc_lo.bias", "ctc_decoder.blocks.4.norm2.weight"])
@pytest.mark.parametrize("kind", ["missing", "shape"])
def test_part_of_a_ctc_branch_is_not_used(tmp_path: Path, name: str, kind: str) -> None:
    state = canonical_state(ctc=True)
    state[name] = torch.ones(3)
    if kind == "missing":
        del state[name]
    write_original(tmp_path, state=state)
    found = open_checkpoint(tmp_path)
    assert (found.has_ctc, found.notes) == (False, (NOTE_CTC_INCOMPLETE,))
    assert not any(tensor.startswith("ctc") for tensor in found.tensors.names())


def test_a_ctc_branch_without_its_vocabulary_is_not_used(tmp_path: Path) -> None:
    write_original(tmp_path)
    (tmp_path / "multilingual.tiktoken").unlink()
    found = open_checkpoint(tmp_path)
    assert (found.has_ctc, found.notes) == (False, (NOTE_CTC_VOCABULARY,))


def test_an_output_layer_of_its_own_is_kept(tmp_path: Path) -> None:
    """The weights decide, whatever a configuration says of tied embeddings."""
    state = canonical_state()
    state["llm.lm_head.weight"] = state["llm.model.embed_tokens.weight"].clone()
    state["llm.lm_head.weight"][-1, -1] += 1
    write_original(tmp_path, state=state)
    found = open_checkpoint(tmp_path)
    assert not found.config.decoder.tie_word_embeddings
    assert torch.equal(found.tensors.read("llm.lm_head.weight"), state["llm.lm_head.weight"])
    state["llm.lm_head.weight"] = state["llm.model.embed_tokens.weight"]  # one storage for both
    write_original(tmp_path, state=state)
    assert "llm.lm_head.weight" not in open_checkpoint(tmp_path).tensors


# Checkpoints that are not whole.


def test_an_empty_folder_says_all_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.sentence == (
        "The model folder lacks model.safetensors or model.safetensors.index.json or model.pt, "
        "config.yaml or config.json and Qwen3-0.6B/tokenizer.json."
    )


@pytest.mark.parametrize(
    ("gone", "what"),
    [
        (["model.pt"], "lacks model.safetensors or model.safetensors.index.json or model.pt."),
        (["config.yaml"], "lacks config.yaml or config.json."),
        (["Qwen3-0.6B/tokenizer.json"], "lacks Qwen3-0.6B/tokenizer.json."),
        (["Qwen3-0.6B/config.json"], "lacks Qwen3-0.6B/config.json."),
        (
            ["Qwen3-0.6B/tokenizer.json", "Qwen3-0.6B/config.json"],
            "lacks Qwen3-0.6B/tokenizer.json and Qwen3-0.6B/config.json.",
        ),
    ],
)
def test_each_missing_file_is_named(tmp_path: Path, gone: list[str], what: str) -> None:
    write_original(tmp_path)
    for path in gone:
        (tmp_path / path).unlink()
    with pytest.raises(WeightsInvalid) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.sentence.endswith(what)


def test_a_hugging_face_folder_names_its_own_files(tmp_path: Path) -> None:
    write_hf(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(WeightsInvalid, match=r"lacks tokenizer\.json\."):
        open_checkpoint(tmp_path)


def test_a_tokenizer_in_a_folder_of_another_name_is_found(tmp_path: Path) -> None:
    write_original(tmp_path)
    (tmp_path / "Qwen3-0.6B").rename(tmp_path / "llm")
    assert open_checkpoint(tmp_path).tokenizer == tmp_path / "llm"


def test_the_path_in_a_configuration_is_not_followed(tmp_path: Path) -> None:
    """``init_param_path`` of config.yaml may say anything; it is not even read."""
    write_original(tmp_path / "model")
    write_tokenizer(tmp_path / "elsewhere")
    write_yaml(tmp_path / "model", Sizes(), llm_conf={"init_param_path": "../elsewhere"})
    assert open_checkpoint(tmp_path / "model").tokenizer == tmp_path / "model" / "Qwen3-0.6B"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("model.audio_tower.layers.1.self_attn.k_proj.weight", "is missing"),
        ("model.audio_tower.layers.4.self_attn.v_proj.bias", "is missing"),
    ],
)
def test_a_third_of_a_projection_that_is_missing_is_named(
    tmp_path: Path, name: str, what: str
) -> None:
    change_hf(tmp_path, lambda state: state.pop(name))
    with pytest.raises(WeightsInvalid, match=rf"model\.safetensors .*{name} {what}"):
        open_checkpoint(tmp_path)


def change_hf(folder: Path, change: Callable[[State], object]) -> None:
    write_hf(folder)
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")


def test_tensors_that_belong_to_no_part_are_named(tmp_path: Path) -> None:
    change_hf(tmp_path, lambda state: state.update({"model.vision_tower.w": torch.ones(1)}))
    with pytest.raises(WeightsInvalid, match=r"model\.vision_tower\.w is no part of this model"):
        open_checkpoint(tmp_path)


def test_two_tensors_for_one_place_are_named(tmp_path: Path) -> None:
    twin = "model.audio_tower.layers.0.mlp.fc1.weight"
    copy = "model.audio_tower.layers.0.fc1.weight"
    change_hf(tmp_path, lambda state: state.update({copy: state[twin].clone()}))
    with pytest.raises(WeightsInvalid, match=r"layers\.0\..*fc1\.weight is another's twin"):
        open_checkpoint(tmp_path)


def test_projections_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    name = "model.audio_tower.layers.1.self_attn.k_proj.weight"
    change_hf(tmp_path, lambda state: state.update({name: state[name][:, :5].clone()}))
    with pytest.raises(WeightsInvalid, match=r"encoders\.0\.self_attn\.linear_q_k_v\.weight do"):
        open_checkpoint(tmp_path)


def test_a_missing_embedding_is_named(tmp_path: Path) -> None:
    change_hf(tmp_path, lambda state: state.pop("model.language_model.embed_tokens.weight"))
    with pytest.raises(WeightsInvalid, match=r"llm\.model\.embed_tokens\.weight is missing"):
        open_checkpoint(tmp_path)


def test_another_model_is_not_taken_for_one(tmp_path: Path) -> None:
    write_hf(tmp_path)
    save_file({"encoder.weight": torch.ones(1)}, tmp_path / "model.safetensors")
    assert not is_nano_folder(tmp_path)
    with pytest.raises(WeightsInvalid, match="holds no Fun-ASR-Nano model"):
        open_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    assert not is_nano_folder(tmp_path)
    assert not is_nano_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_nano_folder_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    LAYOUTS[name][0](tmp_path)
    assert is_nano_folder(tmp_path)


def test_another_models_tokenizer_is_refused(tmp_path: Path) -> None:
    """One with more tokens than the language model has rows."""
    write_hf(tmp_path)
    document = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    document["added_tokens"].append(document["added_tokens"][0] | {"id": 999, "content": "<x>"})
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(WeightsInvalid, match=r"tokenizer\.json .* rows of the embedding"):
        open_checkpoint(tmp_path).open_tokenizer()


def test_code_that_lies_beside_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    code = f"import pathlib\npathlib.Path({str(sentinel)!r}).touch()\n"
    write_original(tmp_path / "original")
    remote = {"trust_remote_code": True, "remote_code": "./model.py"}
    write_yaml(tmp_path / "original", Sizes(), **remote)
    write_hf(tmp_path / "port")
    config = tmp_path / "port" / "config.json"
    own = {"AutoConfig": "model.Config", "AutoModel": "model.Model"}
    config.write_text(
        json.dumps(json.loads(config.read_text("utf-8")) | {"auto_map": own}), "utf-8"
    )
    for folder in (tmp_path / "original", tmp_path / "port"):
        for name in ("model.py", "requirements.txt", "__init__.py", "setup.py"):
            (folder / name).write_text(code, "utf-8")
        open_checkpoint(folder).open_tokenizer()
    assert not sentinel.exists()


# Digests.


def test_the_digest_that_is_asked_for_decides(tmp_path: Path) -> None:
    write_original(tmp_path)
    digest = hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()
    assert open_checkpoint(tmp_path, sha256=digest).has_ctc
    with pytest.raises(WeightsInvalid, match=r"model\.pt .* SHA-256"):
        open_checkpoint(tmp_path, sha256="0" * 64)


def installed(folder: Path) -> None:
    """A receipt as the library writes it."""
    entries = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            found = file.stat()
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            path = file.relative_to(folder).as_posix()
            entries[path] = Entry(found.st_size, found.st_mtime_ns, digest, "catalogue")
    write_receipt(folder, Receipt("tiny", "folder", entries))


def test_an_installed_file_that_changed_is_refused(tmp_path: Path) -> None:
    for path in ("model.pt", "config.yaml", "Qwen3-0.6B/tokenizer.json"):
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        write_original(tmp_path / "model")
        installed(tmp_path / "model")
        os.utime(tmp_path / "model" / path, (1, 1))  # touched, with the same bytes
        assert open_checkpoint(tmp_path / "model").has_ctc
        changed = tmp_path / "model" / path
        changed.write_bytes(changed.read_bytes() + b" ")
        with pytest.raises(WeightsInvalid, match=f"{Path(path).name} .* SHA-256"):
            open_checkpoint(tmp_path / "model")


def test_weights_laid_beside_an_installed_models_own_are_not_used(tmp_path: Path) -> None:
    state = write_original(tmp_path)
    installed(tmp_path)
    write_safetensors(tmp_path, canonical_state(seed=1))
    found = open_checkpoint(tmp_path)
    assert found.tensors.path.name == "model.pt"
    name = "audio_encoder.after_norm.weight"
    assert torch.equal(found.tensors.read(name), state[name])


def test_a_shard_that_was_not_installed_is_refused(tmp_path: Path) -> None:
    write_hf(tmp_path, shards=2)
    (tmp_path / "model-00002-of-00002.safetensors").rename(tmp_path / "elsewhere")
    installed(tmp_path)
    (tmp_path / "elsewhere").rename(tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(WeightsInvalid, match=r"model-00002.* not one of the files"):
        open_checkpoint(tmp_path)


def test_a_tokenizer_that_was_not_installed_is_not_used(tmp_path: Path) -> None:
    write_original(tmp_path)
    installed(tmp_path)
    write_tokenizer(tmp_path)
    assert open_checkpoint(tmp_path).tokenizer == tmp_path / "Qwen3-0.6B"
    (tmp_path / "Qwen3-0.6B" / "tokenizer.json").rename(tmp_path / "gone.json")
    (tmp_path / "config.json").write_bytes((tmp_path / "Qwen3-0.6B" / "config.json").read_bytes())
    with pytest.raises(WeightsInvalid, match=r"lacks .*config\.json|not one of the files"):
        open_checkpoint(tmp_path)


def test_a_name_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelUnknown):
        open_checkpoint("fun-asr-pico")


def test_languages_of_the_published_files_are_known() -> None:
    nano = "81fec8616083c69377f3ceef36aba3655660ee0ca69a5d4a1e9810cd340ca499"
    mlt = "f7ddbef5ff8c57254e6a045f0b316501b704fe2b774f962efc6e402364e8fe37"
    assert known_languages(nano) == NANO_LANGUAGES
    assert known_languages(mlt) == MLT_LANGUAGES
    assert known_languages("0" * 64) is None
    assert known_languages(None) is None


# Configurations.


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"audio_encoder_conf": {"num_blocks": "many"}}, r"audio_encoder_conf\.num_blocks"),
        ({"audio_encoder_conf": {"attention_heads": 0}}, r"audio_encoder_conf\.attention_heads"),
        ({"audio_encoder_conf": {"output_size": 1 << 40}}, r"audio_encoder_conf\.output_size"),
        ({"audio_encoder_conf": [1]}, "audio_encoder_conf is no section"),
        ({"audio_adaptor_conf": {"downsample_rate": 2}}, r"downsample_rate is not 1, the only"),
        ({"frontend_conf": {"fs": 8000}}, r"frontend_conf\.fs is not 16000"),
        ({"frontend_conf": {"lfr_n": 1}}, r"frontend_conf\.lfr_n is not 6"),
    ],
)
def test_a_setting_we_cannot_run_is_named(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    write_original(tmp_path)
    write_yaml(tmp_path, Sizes(), **changes)
    with pytest.raises(WeightsInvalid, match=rf"config\.yaml .*{what}"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[1", "a: b", "- 1\n- 2", "a: !!python/object/apply:os.system [true]"]
)
def test_a_configuration_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    write_original(tmp_path)
    (tmp_path / "config.yaml").write_text(content, "utf-8")
    with pytest.raises(WeightsInvalid, match=r"config\.yaml"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"model_type": "llama"}, "model_type is not qwen3"),
        ({"rope_scaling": {"type": "yarn"}}, "rope_scaling"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_scaling"),
        ({"rms_norm_eps": 0}, "rms_norm_eps must be a number above 0"),
        ({"rope_theta": "wide"}, "rope_theta must be a number above 0"),
        ({"vocab_size": None}, "vocab_size must be a whole number"),
    ],
)
def test_another_language_model_is_refused(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    write_hf(tmp_path)
    document = json.loads((tmp_path / "config.json").read_text("utf-8"))
    document["text_config"] |= changes
    (tmp_path / "config.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(WeightsInvalid, match=rf"config\.json .*text_config\.{what}"):
        open_checkpoint(tmp_path)


def test_the_newer_way_to_write_the_rotation_is_read(tmp_path: Path) -> None:
    write_hf(tmp_path)
    document = json.loads((tmp_path / "config.json").read_text("utf-8"))
    del document["text_config"]["rope_theta"]
    document["text_config"]["rope_parameters"] = {"rope_theta": 5e5, "rope_type": "default"}
    (tmp_path / "config.json").write_text(json.dumps(document), "utf-8")
    assert open_checkpoint(tmp_path).config.decoder.rope_theta == 5e5


def test_a_file_that_describes_something_else_is_refused(tmp_path: Path) -> None:
    write_hf(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}', "utf-8")
    with pytest.raises(WeightsInvalid, match="describes no Fun-ASR-Nano model"):
        open_checkpoint(tmp_path)


def test_layouts_are_told_by_tensors_alone() -> None:
    sizes, state = Sizes(), canonical_state()
    assert naming_of(state) == "original"
    assert naming_of(hf_state(state, "flat", sizes)) == "flat"
    assert naming_of(hf_state(state, "split", sizes)) == "split"
    assert naming_of(["encoder.encoders0.0.norm1.weight"]) is None
