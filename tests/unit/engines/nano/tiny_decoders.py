"""Small random Qwen3 models: ours, and Hugging Face's with the same weights."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch

from lingting.engines.nano.decoder import Qwen3, Qwen3Config
from lingting.engines.nano.generation import Request
from lingting.engines.neural.lowbit import Int8Embedding, Int8Linear

CONFIG = Qwen3Config(
    vocab_size=300,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    max_position_embeddings=512,
)
UNTIED = replace(CONFIG, tie_word_embeddings=False)


def published(config: Qwen3Config = CONFIG, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights by Hugging Face's names; a wide spread, so that tokens are no near ties."""
    torch.manual_seed(seed)
    own = Qwen3(config).state_dict()
    names: dict[str, tuple[int, ...]] = {}
    heads = [config.num_attention_heads, *2 * [config.num_key_value_heads]]
    for name, tensor in own.items():
        for fused, parts, rows in (
            ("qkv_proj", ("q_proj", "k_proj", "v_proj"), [n * config.head_dim for n in heads]),
            ("gate_up_proj", ("gate_proj", "up_proj"), 2 * [config.intermediate_size]),
        ):
            if fused in name:
                for part, count in zip(parts, rows, strict=True):
                    names[name.replace(fused, part)] = (count, tensor.shape[1])
                break
        else:
            names[name] = tuple(tensor.shape)
    return {
        name: torch.rand(shape) + 0.5 if len(shape) == 1 else torch.randn(shape) * 0.12
        for name, shape in names.items()
    }


def ours(
    state: dict[str, torch.Tensor], config: Qwen3Config = CONFIG, *, int8: bool = False
) -> Qwen3:
    model = Qwen3(config, Int8Linear, Int8Embedding) if int8 else Qwen3(config)
    joined = {
        name: torch.cat([state[one] for one in olds]) if isinstance(olds, tuple) else state[olds]
        for name, olds in model.sources(state).items()
    }
    for path, module in model.named_modules():
        if isinstance(module, Int8Linear | Int8Embedding):
            for name in module.wanted():
                module.take(name, joined.pop(f"{path}.{name}"))
    model.load_state_dict(joined)
    return model.requires_grad_(False).eval()


def theirs(state: dict[str, torch.Tensor], config: Qwen3Config = CONFIG) -> Any:
    import transformers

    settings = asdict(config)
    settings["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": settings.pop("rope_theta"),
    }
    model = transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(**settings, bos_token_id=None, eos_token_id=None)
    )
    left = model.load_state_dict(state, strict=False)
    assert not left.unexpected_keys
    assert set(left.missing_keys) <= {"lm_head.weight"}
    model.tie_weights()
    return model.eval()


def requests(count: int, seed: int = 1, longest: int = 60) -> list[Request]:
    """Prompts of 1 to ``longest`` rows, 1 to 40 tokens to be written."""
    torch.manual_seed(seed)
    return [
        Request(
            torch.randn(int(torch.randint(1, longest, ())), CONFIG.hidden_size) * 0.5,
            int(torch.randint(1, 40, ())),
        )
        for _ in range(count)
    ]
