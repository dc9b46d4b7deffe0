"""Tensor names of every published layout, told in those of the original ``model.pt``.

The Hugging Face conversions exist in two layouts. *split* keeps the encoder's three parts apart
(``stem``, ``layers``, ``timestamp_prediction_layers``), *flat* counts all 70 layers through. Both
cut the joint query, key and value projection of the encoder in three, and along the way the parts
of a layer changed their names more than once; all those names are known here. Which layout a
checkpoint has is read from its tensors, never from its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Naming = Literal["original", "split", "flat"]

PREFIXES = ("audio_encoder.", "audio_adaptor.", "llm.", "ctc_decoder.", "ctc.")
"""Below them are all tensors of a checkpoint, in the original's names."""
CTC_PREFIXES = ("ctc_decoder.", "ctc.")

_PARTS = (
    (re.compile(r"^self_attn\.(?:out|o)_proj\."), "self_attn.linear_out."),
    (re.compile(r"^(?:self_attn\.)?(?:fsmn|feedforward_sequential_memory)\.conv\."),
     "self_attn.fsmn_block."),
    (re.compile(r"^(?:mlp\.)?fc([12])\."), r"feed_forward.w_\1."),
    (re.compile(r"^(?:self_attn_layer_norm|input_layernorm)\."), "norm1."),
    (re.compile(r"^(?:final_layer_norm|post_attention_layernorm)\."), "norm2."),
)  # fmt: skip
_PROJECTION = re.compile(r"^self_attn\.([qkv])_proj\.(weight|bias)$")
_ENCODER_LAYER = re.compile(r"^(stem|layers\.(\d+)|timestamp_prediction_layers\.(\d+))\.(.+)$")
_ADAPTOR_LAYER = re.compile(r"^(?:blocks|layers)\.(\d+)\.(.+)$")

_Source = tuple[str, str]
"""Canonical name and which third of it this is: ``q``, ``k``, ``v``, or "" for all."""


def naming_of(names: Iterable[str]) -> Naming | None:
    """Whose names these are; None when they are no Fun-ASR-Nano's."""
    known = set(names)
    if any(name.startswith("audio_encoder.") for name in known):
        return "original"
    tower = [name for name in known if "audio_tower." in name]
    if not tower:
        return None
    is_split = any(".stem." in name or ".timestamp_prediction_layers." in name for name in tower)
    return "split" if is_split else "flat"


def canonical_sources(
    names: Iterable[str], naming: Naming, num_blocks: int, tp_blocks: int
) -> dict[str, str | tuple[str, ...]]:
    """Canonical name → the checkpoint's name, or its three names in the order they are joined.

    A name that is not understood stays as it is. ``num_blocks`` counts the entry layer too.
    Raises KeyError with the name of a tensor that is missing or stands for the same as another.
    """
    if naming == "original":
        return {name: name for name in names}
    thirds: dict[str, dict[str, str]] = {}
    for name in names:
        canonical, third = _canonical(name, naming, num_blocks, tp_blocks)
        found = thirds.setdefault(canonical, {})
        if third in found:
            raise KeyError(name)
        found[third] = name
    return {canonical: _joined(found) for canonical, found in thirds.items()}


def _joined(found: dict[str, str]) -> str | tuple[str, ...]:
    if "" in found:
        return found[""]
    some = next(iter(found.items()))
    for third in "qkv":
        if third not in found:
            raise KeyError(some[1].replace(f".{some[0]}_proj.", f".{third}_proj."))
    return found["q"], found["k"], found["v"]


def _canonical(name: str, naming: Naming, num_blocks: int, tp_blocks: int) -> _Source:
    bare = name.removeprefix("model.")
    if bare.startswith("audio_tower."):
        return _encoder(name, bare.removeprefix("audio_tower."), naming, num_blocks, tp_blocks)
    for prefix in ("multi_modal_projector.", "audio_adaptor."):
        if bare.startswith(prefix):
            return _adaptor(name, bare.removeprefix(prefix)), ""
    if bare.startswith("language_model."):
        inner = bare.removeprefix("language_model.")
        inner = inner if inner.startswith(("model.", "lm_head.")) else f"model.{inner}"
        return f"llm.{inner}", ""
    return (f"llm.{bare}", "") if bare.startswith("lm_head.") else (name, "")


def _encoder(name: str, inner: str, naming: Naming, num_blocks: int, tp_blocks: int) -> _Source:
    norms = {"layer_norm": "after_norm", "timestamp_prediction_layer_norm": "tp_norm"}
    first, _, rest = inner.partition(".")
    if naming == "split" and first in norms:
        return f"audio_encoder.{norms[first]}.{rest}", ""
    found = _ENCODER_LAYER.match(inner)
    if found is None:
        return name, ""
    where, number, tp_number, part = found.groups()
    if naming == "split":
        layer = _split_layer(where, number, tp_number)
    else:
        if part.startswith("final_layernorm."):
            after = {num_blocks - 1: "after_norm", num_blocks + tp_blocks - 1: "tp_norm"}
            norm = after.get(int(number or -1))
            kind = part.removeprefix("final_layernorm.")
            return (f"audio_encoder.{norm}.{kind}", "") if norm else (name, "")
        layer = _flat_layer(number, num_blocks)
    projection = _PROJECTION.match(part)
    if projection is not None:
        third, kind = projection.groups()
        return f"audio_encoder.{layer}.self_attn.linear_q_k_v.{kind}", third
    return f"audio_encoder.{layer}.{_part(part)}", ""


def _split_layer(where: str, number: str | None, tp_number: str | None) -> str:
    if where == "stem":
        return "encoders0.0"
    return f"encoders.{number}" if number is not None else f"tp_encoders.{tp_number}"


def _flat_layer(number: str | None, num_blocks: int) -> str:
    at = int(number or 0)
    if at == 0:
        return "encoders0.0"
    return f"encoders.{at - 1}" if at < num_blocks else f"tp_encoders.{at - num_blocks}"


def _adaptor(name: str, inner: str) -> str:
    for number in "12":
        if inner.startswith(f"linear_{number}."):
            return f"audio_adaptor.linear{number}.{inner.removeprefix(f'linear_{number}.')}"
    found = _ADAPTOR_LAYER.match(inner)
    if found is None:
        return name
    part = re.sub(r"^self_attn\.([qkv])_proj\.", r"self_attn.linear_\1.", found[2])
    return f"audio_adaptor.blocks.{found[1]}.{_part(part)}"


def _part(part: str) -> str:
    for pattern, name in _PARTS:
        part, count = pattern.subn(name, part)
        if count:
            break
    return part
