"""Fun-ASR-Nano checkpoints of a few kilobytes, in every layout they are published in.

The weights are random, everything else is real: the file formats, the tensor names, a byte-level
tokenizer with Qwen's chat markers (trained on the spot) and 80-mel features, so that a tiny
checkpoint recognises real recordings, as nonsense. The layouts are written by the rules of the
publishers' own conversion scripts, forwards; the package knows them backwards.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

State = dict[str, torch.Tensor]
HfLayout = Literal["flat", "split", "split-first"]

MARKERS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>")
_TEXTS = (
    "You are a helpful assistant.",
    "语音转写成中文，不进行文本规整：",
    "请结合上下文信息，更加准确地完成语音转写任务。如果没有相关信息，我们会留空。",
    "**上下文信息：** 热词列表：[开放时间, Lingting]",
    "开放时间早上九点至下午五点。",
    "The tribal chieftain called for the boy, and presented him with fifty pieces of gold.",
    "system user assistant",
)
# How Qwen cuts a text before its bytes are joined: a fact of its tokenizer.json.
_QWEN_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Sizes:
    """As the full model's, only small; every number differs from its neighbours."""

    features: int = 560
    width: int = 32
    heads: int = 4
    units: int = 48
    blocks: int = 3
    tp_blocks: int = 2
    kernel: int = 11
    projector: int = 40
    adaptor_heads: int = 2
    adaptor_blocks: int = 2
    hidden: int = 64
    intermediate: int = 96
    layers: int = 2
    attention_heads: int = 4
    key_value_heads: int = 2
    head: int = 24
    ctc_width: int = 24
    ctc_projector: int = 56
    ctc_heads: int = 8
    ctc_blocks: int = 5
    ctc_classes: int = 263
    vocabulary: int = field(default_factory=lambda: len(tokenizer_document()["model"]["vocab"]) + 4)


def write_original(
    folder: Path,
    ctc: bool = True,
    seed: int = 0,
    *,
    dtype: torch.dtype = torch.float32,
    state: State | None = None,
    copy_of_head: bool = True,
) -> State:
    """``model.pt``, ``config.yaml``, ``Qwen3-0.6B/`` as ModelScope (``ctc``) or the other hub."""
    sizes = Sizes()
    folder.mkdir(parents=True, exist_ok=True)
    made = canonical_state(seed, ctc=ctc, dtype=dtype) if state is None else state
    if copy_of_head and state is None:
        made["llm.lm_head.weight"] = made["llm.model.embed_tokens.weight"].clone()
    torch.save({"state_dict": made}, folder / "model.pt")
    write_yaml(folder, sizes)
    write_ctc_vocabulary(folder / "multilingual.tiktoken")
    write_tokenizer(folder / "Qwen3-0.6B")
    (folder / "Qwen3-0.6B" / "config.json").write_text(json.dumps(qwen_config(sizes)), "utf-8")
    return made


def write_hf(
    folder: Path,
    layout: HfLayout = "flat",
    seed: int = 0,
    *,
    dtype: torch.dtype = torch.float32,
    shards: int = 1,
) -> State:
    """One of the Hugging Face conversions: no CTC branch, no copy of the output layer."""
    sizes = Sizes()
    folder.mkdir(parents=True, exist_ok=True)
    state = canonical_state(seed, ctc=False, dtype=dtype)
    write_safetensors(folder, hf_state(state, layout, sizes), shards)
    (folder / "config.json").write_text(json.dumps(hf_config(layout, sizes)), "utf-8")
    write_tokenizer(folder)
    return state


def write_vllm(folder: Path, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> State:
    """The conversion for vLLM: the original's names and a Qwen3 configuration with ours inside."""
    sizes = Sizes()
    folder.mkdir(parents=True, exist_ok=True)
    state = canonical_state(seed, ctc=False, dtype=dtype)
    state["llm.lm_head.weight"] = state["llm.model.embed_tokens.weight"].clone()
    write_safetensors(folder, state)
    config = qwen_config(sizes) | {
        "architectures": ["FunASRForConditionalGeneration"],
        "model_type": "funasr",
        "audio_encoder_conf": encoder_conf(sizes),
        "audio_adaptor_conf": adaptor_conf(sizes),
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    write_tokenizer(folder)
    return state


def write_sensevoice(folder: Path, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> State:
    """SenseVoiceSmall as its publisher lays it out; the vocabulary is trained on the spot."""
    sizes = Sizes()
    folder.mkdir(parents=True, exist_ok=True)
    pieces = sentence_pieces()
    (folder / "chn_jpn_yue_eng_ko_spectok.bpe.model").write_bytes(pieces)
    state = sensevoice_state(seed, classes=sentence_piece_count(pieces), dtype=dtype)
    torch.save(state, folder / "model.pt")
    write_sensevoice_yaml(folder)
    random = torch.Generator().manual_seed(seed + 1)
    shift = -8 - torch.rand(sizes.features, generator=random)
    scale = 0.2 + 0.1 * torch.rand(sizes.features, generator=random)
    (folder / "am.mvn").write_text(mvn_text(shift.tolist(), scale.tolist()), "utf-8")
    (folder / "configuration.json").write_text(json.dumps({"framework": "pytorch"}), "utf-8")
    return state


def write_sensevoice_yaml(folder: Path, **changes: Any) -> None:
    import yaml

    document = {
        "encoder": "SenseVoiceEncoderSmall",
        "encoder_conf": encoder_conf(Sizes()),
        "model": "SenseVoiceSmall",
        "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
        "tokenizer": "SentencepiecesTokenizer",
        "frontend": "WavFrontend",
        "frontend_conf": {
            "fs": 16000,
            "window": "hamming",
            "n_mels": 80,
            "frame_length": 25,
            "frame_shift": 10,
            "lfr_m": 7,
            "lfr_n": 6,
            "cmvn_file": None,
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(document | changes), "utf-8")


def write_safetensors(folder: Path, state: State, shards: int = 1) -> None:
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    if shards == 1:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(state)
    weights = {}
    for at in range(shards):
        file = f"model-{at + 1:05}-of-{shards:05}.safetensors"
        own = names[at::shards]
        save_file({name: state[name] for name in own}, folder / file)
        weights |= dict.fromkeys(own, file)
    index = {"metadata": {}, "weight_map": weights}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


# The weights, under the names of the original model.pt.


def canonical_state(
    seed: int = 0, *, ctc: bool = False, dtype: torch.dtype = torch.float32
) -> State:
    """Random weights of moderate size; the CTC branch is float32, as published."""
    sizes = Sizes()
    shapes = encoder_shapes(sizes)
    shapes |= transformer_shapes(
        "audio_adaptor", sizes.width, sizes.projector, sizes.hidden, sizes.adaptor_blocks
    )
    shapes |= qwen_shapes(sizes)
    random = torch.Generator().manual_seed(seed)
    state = {name: _random(name, shape, random).to(dtype) for name, shape in shapes.items()}
    if ctc:
        branch = transformer_shapes(
            "ctc_decoder", sizes.width, sizes.ctc_projector, sizes.ctc_width, sizes.ctc_blocks
        )
        branch["ctc.ctc_lo.weight"] = (sizes.ctc_classes, sizes.ctc_width)
        branch["ctc.ctc_lo.bias"] = (sizes.ctc_classes,)
        state |= {name: _random(name, shape, random) for name, shape in branch.items()}
    return state


def sensevoice_state(seed: int, *, classes: int, dtype: torch.dtype = torch.float32) -> State:
    sizes = Sizes()
    shapes = encoder_shapes(sizes, "encoder")
    shapes |= {
        "ctc.ctc_lo.weight": (classes, sizes.width),
        "ctc.ctc_lo.bias": (classes,),
        "embed.weight": (16, sizes.features),
    }
    random = torch.Generator().manual_seed(seed)
    return {name: _random(name, shape, random).to(dtype) for name, shape in shapes.items()}


def _random(name: str, shape: tuple[int, ...], random: torch.Generator) -> torch.Tensor:
    values = torch.randn(shape, generator=random)
    if len(shape) == 1:
        is_scale = name.endswith(".weight")
        return 0.1 * values + 1 if is_scale else 0.1 * values
    return values / shape[-1] ** 0.5


def _linear(name: str, wide: int, to: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (to, wide), f"{name}.bias": (to,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def encoder_shapes(sizes: Sizes, prefix: str = "audio_encoder") -> dict[str, tuple[int, ...]]:
    layers = [("encoders0.0", sizes.features)]
    layers += [(f"encoders.{at}", sizes.width) for at in range(sizes.blocks - 1)]
    layers += [(f"tp_encoders.{at}", sizes.width) for at in range(sizes.tp_blocks)]
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, wide in layers:
        name = f"{prefix}.{layer}"
        shapes |= _linear(f"{name}.self_attn.linear_out", sizes.width, sizes.width)
        shapes |= _linear(f"{name}.self_attn.linear_q_k_v", wide, 3 * sizes.width)
        shapes[f"{name}.self_attn.fsmn_block.weight"] = (sizes.width, 1, sizes.kernel)
        shapes |= _linear(f"{name}.feed_forward.w_1", sizes.width, sizes.units)
        shapes |= _linear(f"{name}.feed_forward.w_2", sizes.units, sizes.width)
        shapes |= _norm(f"{name}.norm1", wide) | _norm(f"{name}.norm2", sizes.width)
    return (
        shapes
        | _norm(f"{prefix}.after_norm", sizes.width)
        | _norm(f"{prefix}.tp_norm", sizes.width)
    )


def transformer_shapes(
    prefix: str, wide: int, projector: int, to: int, blocks: int
) -> dict[str, tuple[int, ...]]:
    """The adaptor, and the CTC decoder, which is the same class."""
    shapes = _linear(f"{prefix}.linear1", wide, projector)
    shapes |= _linear(f"{prefix}.linear2", projector, to)
    for at in range(blocks):
        name = f"{prefix}.blocks.{at}"
        for part in ("linear_q", "linear_k", "linear_v", "linear_out"):
            shapes |= _linear(f"{name}.self_attn.{part}", to, to)
        shapes |= _linear(f"{name}.feed_forward.w_1", to, to // 4)
        shapes |= _linear(f"{name}.feed_forward.w_2", to // 4, to)
        shapes |= _norm(f"{name}.norm1", to) | _norm(f"{name}.norm2", to)
    return shapes


def qwen_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    hidden, head = sizes.hidden, sizes.head
    shapes: dict[str, tuple[int, ...]] = {
        "llm.model.embed_tokens.weight": (sizes.vocabulary, hidden),
        "llm.model.norm.weight": (hidden,),
    }
    for at in range(sizes.layers):
        own = {
            "self_attn.q_proj": (sizes.attention_heads * head, hidden),
            "self_attn.k_proj": (sizes.key_value_heads * head, hidden),
            "self_attn.v_proj": (sizes.key_value_heads * head, hidden),
            "self_attn.o_proj": (hidden, sizes.attention_heads * head),
            "self_attn.q_norm": (head,),
            "self_attn.k_norm": (head,),
            "mlp.gate_proj": (sizes.intermediate, hidden),
            "mlp.up_proj": (sizes.intermediate, hidden),
            "mlp.down_proj": (hidden, sizes.intermediate),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }
        shapes |= {f"llm.model.layers.{at}.{name}.weight": shape for name, shape in own.items()}
    return shapes


# The Hugging Face conversions, forwards.

_HF_PARTS: Mapping[HfLayout, tuple[tuple[str, str], ...]] = {
    "flat": (
        (r"\.self_attn\.linear_out\.", ".self_attn.o_proj."),
        (r"\.self_attn\.linear_([qkv])\.", r".self_attn.\1_proj."),
        (r"\.self_attn\.fsmn_block\.", ".self_attn.fsmn.conv."),
        (r"\.feed_forward\.w_([12])\.", r".mlp.fc\1."),
        (r"\.norm1\.", ".input_layernorm."),
        (r"\.norm2\.", ".post_attention_layernorm."),
        (r"^audio_adaptor\.blocks\.", "model.multi_modal_projector.layers."),
    ),
    "split": (
        (r"\.self_attn\.linear_out\.", ".self_attn.out_proj."),
        (r"\.self_attn\.linear_([qkv])\.", r".self_attn.\1_proj."),
        (r"\.self_attn\.fsmn_block\.", ".self_attn.fsmn.conv."),
        (r"(encoder.*)\.feed_forward\.w_([12])\.", r"\1.mlp.fc\2."),
        (r"\.feed_forward\.w_([12])\.", r".fc\1."),
        (r"\.norm1\.", ".self_attn_layer_norm."),
        (r"\.norm2\.", ".final_layer_norm."),
        (r"^audio_adaptor\.blocks\.", "model.audio_adaptor.blocks."),
    ),
    "split-first": (
        (r"\.self_attn\.linear_out\.", ".self_attn.out_proj."),
        (r"\.self_attn\.linear_([qkv])\.", r".self_attn.\1_proj."),
        (r"\.self_attn\.fsmn_block\.", ".fsmn.conv."),
        (r"\.feed_forward\.w_([12])\.", r".fc\1."),
        (r"\.norm1\.", ".self_attn_layer_norm."),
        (r"\.norm2\.", ".final_layer_norm."),
        (r"^audio_adaptor\.blocks\.", "model.multi_modal_projector.blocks."),
    ),
}


def hf_state(state: State, layout: HfLayout, sizes: Sizes) -> State:
    renamed: State = {}
    for name, tensor in state.items():
        new = name
        for pattern, replacement in _HF_PARTS[layout]:
            new = re.sub(pattern, replacement, new)
        new = re.sub(
            r"^audio_adaptor\.linear([12])\.", r"model.multi_modal_projector.linear_\1.", new
        )
        new = re.sub(r"^llm\.model\.", "model.language_model.", new)
        new = _hf_encoder_name(new, layout, sizes)
        if ".self_attn.linear_q_k_v." in new:
            for third, part in zip("qkv", tensor.chunk(3), strict=True):
                renamed[new.replace(".linear_q_k_v.", f".{third}_proj.")] = part.clone()
        else:
            renamed[new] = tensor
    return renamed


def _hf_encoder_name(name: str, layout: HfLayout, sizes: Sizes) -> str:
    tower = "model.audio_tower."
    if layout != "flat":
        for old, new in (
            ("encoders0.0.", "stem."),
            ("encoders.", "layers."),
            ("tp_encoders.", "timestamp_prediction_layers."),
            ("after_norm.", "layer_norm."),
            ("tp_norm.", "timestamp_prediction_layer_norm."),
        ):
            if name.startswith(f"audio_encoder.{old}"):
                return tower + new + name.removeprefix(f"audio_encoder.{old}")
        return name
    last = {"after_norm": sizes.blocks - 1, "tp_norm": sizes.blocks + sizes.tp_blocks - 1}
    for norm, at in last.items():
        if name.startswith(f"audio_encoder.{norm}."):
            return f"{tower}layers.{at}.final_layernorm.{name.rpartition('.')[2]}"
    for group, first in (("encoders0", 0), ("encoders", 1), ("tp_encoders", sizes.blocks)):
        found = re.match(rf"audio_encoder\.{group}\.(\d+)\.(.+)", name)
        if found:
            return f"{tower}layers.{first + int(found[1])}.{found[2]}"
    return name


# Configurations.


def qwen_config(sizes: Sizes) -> dict[str, Any]:
    return {
        "model_type": "qwen3",
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.intermediate,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.attention_heads,
        "num_key_value_heads": sizes.key_value_heads,
        "head_dim": sizes.head,
        "rope_theta": 1_000_000,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "bos_token_id": sizes.vocabulary - 4,
        "eos_token_id": sizes.vocabulary - 2,
        "pad_token_id": sizes.vocabulary - 4,
    }


def encoder_conf(sizes: Sizes) -> dict[str, Any]:
    return {
        "output_size": sizes.width,
        "attention_heads": sizes.heads,
        "linear_units": sizes.units,
        "num_blocks": sizes.blocks,
        "tp_blocks": sizes.tp_blocks,
        "dropout_rate": 0.1,
        "input_layer": "pe",
        "normalize_before": True,
        "kernel_size": sizes.kernel,
        "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
        "freeze": True,
    }


def adaptor_conf(sizes: Sizes) -> dict[str, Any]:
    return {
        "downsample_rate": 1,
        "use_low_frame_rate": True,
        "ffn_dim": sizes.projector,
        "llm_dim": sizes.hidden,
        "encoder_dim": sizes.width,
        "n_layer": sizes.adaptor_blocks,
        "attention_heads": sizes.adaptor_heads,
        "freeze": True,
    }


def original_config(sizes: Sizes) -> dict[str, Any]:
    """Both published config.yaml describe the CTC branch, also the one without its weights."""
    return {
        "model": "FunASRNano",
        "audio_encoder": "SenseVoiceEncoderSmall",
        "audio_encoder_conf": encoder_conf(sizes),
        "llm": "Qwen3-0.6b",
        "llm_conf": {"hub": "hf", "freeze": True, "llm_dtype": "bf16",
                     "init_param_path": "Qwen3-0.6B"},
        "audio_adaptor": "Transformer",
        "audio_adaptor_conf": adaptor_conf(sizes),
        "ctc_decoder": "Transformer",
        "ctc_decoder_conf": {
            "downsample_rate": 1,
            "ffn_dim": sizes.ctc_projector,
            "llm_dim": sizes.ctc_width,
            "encoder_dim": sizes.width,
            "n_layer": sizes.ctc_blocks,
        },
        "ctc_vocab_size": sizes.ctc_classes,
        "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True},
        "frontend": "WavFrontend",
        "frontend_conf": {"fs": 16000, "window": "hamming", "n_mels": 80, "frame_length": 25,
                          "frame_shift": 10, "lfr_m": 7, "lfr_n": 6, "cmvn_file": None},
    }  # fmt: skip


def write_yaml(folder: Path, sizes: Sizes, **changes: Any) -> None:
    import yaml

    document = original_config(sizes) | changes
    (folder / "config.yaml").write_text(yaml.safe_dump(document), "utf-8")


def hf_config(layout: HfLayout, sizes: Sizes) -> dict[str, Any]:
    common: dict[str, Any] = {
        "architectures": ["FunAsrNanoForConditionalGeneration"],
        "model_type": "fun_asr_nano",
        "audio_token_id": sizes.vocabulary - 1,
        "text_config": qwen_config(sizes),
        "tie_word_embeddings": True,
    }
    if layout == "split-first":
        return common | {
            "encoder_config": {
                "model_type": "fun_asr_nano_encoder",
                "num_mel_bins": 80,
                "num_stacked_frames": 7,
                "d_model": sizes.width,
                "encoder_attention_heads": sizes.heads,
                "encoder_ffn_dim": sizes.units,
                "encoder_layers": sizes.blocks,
                "num_timestamp_prediction_blocks": sizes.tp_blocks,
                "kernel_size": sizes.kernel,
            },
            "adaptor_intermediate_size": sizes.projector,
            "adaptor_num_attention_heads": sizes.adaptor_heads,
            "adaptor_num_hidden_layers": sizes.adaptor_blocks,
        }
    audio = {
        "model_type": "fun_asr_nano_encoder",
        "num_mel_bins": 80,
        "num_stacked_frames": 7,
        "hidden_size": sizes.width,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.units,
        "fsmn_kernel_size": sizes.kernel,
    }
    if layout == "split":
        audio |= {
            "num_hidden_layers": sizes.blocks,
            "num_timestamp_prediction_blocks": sizes.tp_blocks,
        }
    else:
        audio |= {
            "num_hidden_layers": sizes.blocks + sizes.tp_blocks,
            "num_timestamp_prediction_layers": sizes.tp_blocks,
        }
    adaptor = {
        "hidden_size": sizes.hidden,
        "num_attention_heads": sizes.adaptor_heads,
        "intermediate_size": sizes.hidden // 4,
        "num_hidden_layers": sizes.adaptor_blocks,
        "projector_hidden_size": sizes.projector,
    }
    return common | {"audio_config": audio, "adaptor_config": adaptor}


# Vocabularies.


def write_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_document()), "utf-8")


@cache
def tokenizer_document() -> dict[str, Any]:
    """Byte pairs as Qwen joins them, learnt from a few sentences; the markers come last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    tokenizer.add_special_tokens([AddedToken(marker, special=True) for marker in MARKERS])
    document: dict[str, Any] = json.loads(tokenizer.to_str())
    return document


def write_ctc_vocabulary(file: Path) -> None:
    """The 256 bytes and a few joined ones; the classes above them are marks and the blank."""
    joined = [b"th", b"an", "中".encode(), "文".encode()]
    tokens = [bytes([value]) for value in range(256)] + joined
    lines = [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(tokens)]
    file.write_text("\n".join(lines) + "\n", "ascii")


SENSEVOICE_TAGS = (
    *("zh", "en", "yue", "ja", "ko", "nospeech"),
    *("HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED", "EMO_UNKNOWN"),
    *("BGM", "Speech", "Applause", "Laughter", "Cry", "Sneeze", "Breath", "Cough", "Event_UNK"),
    *("withitn", "woitn"),
)


@cache
def sentence_pieces(size: int = 256) -> bytes:
    """A sentence-piece model with SenseVoice's tags as pieces of their own; 0 is the blank."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_TEXTS * 3),
        model_writer=model,
        model_type="bpe",
        vocab_size=size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        user_defined_symbols=[f"<|{tag}|>" for tag in SENSEVOICE_TAGS],
        minloglevel=2,
    )
    return model.getvalue()


def sentence_piece_count(model: bytes) -> int:
    import sentencepiece

    return int(sentencepiece.SentencePieceProcessor(model_proto=model).get_piece_size())


def mvn_text(shift: Sequence[float], scale: Sequence[float]) -> str:
    """A kaldi nnet of one shift and one scale, line by line as FunASR reads it."""
    size = len(shift)
    parts = [f"<Nnet>\n<Splice> {size} {size}\n[ 0 ]\n"]
    for name, values in (("AddShift", shift), ("Rescale", scale)):
        numbers = " ".join(f"{value:.8g}" for value in values)
        parts.append(f"<{name}> {size} {size}\n<LearnRateCoef> 0 [ {numbers} ]\n")
    return "".join(parts) + "</Nnet>\n"
