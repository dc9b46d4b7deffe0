"""The decoder beside Hugging Face's Qwen3 on the same random weights, in float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lingting.engines.nano.cache import SlotCache
from lingting.engines.nano.decoder import Qwen3, Qwen3Config, Step, _Prompts
from lingting.engines.nano.generation import Generator, Request, TokenBudget
from lingting.engines.neural import devices
from tests.unit.engines.nano.tiny_decoders import (
    CONFIG,
    UNTIED,
    ours,
    published,
    requests,
    theirs,
)

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with devices.using_threads(1), torch.inference_mode():
        yield


def cache(model: Qwen3, slots: int, capacity: int = 96) -> SlotCache:
    return SlotCache(
        layers=model.config.num_hidden_layers,
        slots=slots,
        heads=model.config.num_key_value_heads,
        capacity=capacity,
        width=model.config.head_dim,
        dtype=torch.float32,
        device=CPU,
    )


def greedy(model: Any, request: Request) -> list[int]:
    found: list[int] = model.generate(
        inputs_embeds=request.embeddings[None],
        attention_mask=torch.ones(1, len(request.embeddings), dtype=torch.long),
        max_new_tokens=request.max_new_tokens,
        do_sample=False,
        pad_token_id=0,
    )[0].tolist()
    return found


@pytest.mark.parametrize("config", [CONFIG, UNTIED], ids=["tied", "untied"])
def test_token_by_token_as_transformers(config: Qwen3Config) -> None:
    state = published(config)
    model, reference = ours(state, config), theirs(state, config)
    asked = requests(12)
    generator = Generator(model, eos_ids=(), budget=TokenBudget(90, 500, 4), detects_loops=False)
    found = generator.generate(asked)
    assert [one.tokens for one in found] == [greedy(reference, one) for one in asked]
    assert len({token for one in found for token in one.tokens}) > 50  # it does say things


def test_logits_of_prompts_and_of_written_tokens_in_one_pass() -> None:
    state = published()
    model, reference = ours(state), theirs(state)
    held = cache(model, 3)
    torch.manual_seed(3)
    first, second = torch.randn(7, 64), torch.randn(40, 64)
    step = Step([(1, 7)], [], [], CPU)
    model(first, step, held)
    # Slot 0 and 2 are new; slot 1 goes on by token 11.
    third = torch.randn(2, 64)
    step = Step([(0, 40), (2, 2)], [1], [8], CPU)
    rows = torch.cat((second, third, model.embed([11])))
    found = model.logits(model(rows, step, held))
    expected = [
        reference(inputs_embeds=clip[None]).logits[0, -1]
        for clip in (second, third, torch.cat((first, model.embed([11]))))
    ]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_a_padded_pass_over_prompts_is_the_same() -> None:
    """What runs on CUDA, where one call over padded rows is cheaper."""
    torch.manual_seed(4)
    spans = _Prompts.of([(0, 5), (1, 1), (2, 33)], torch.device("cpu"))
    q, k, v = (torch.randn(39, heads, 16) for heads in (4, 2, 2))
    torch.testing.assert_close(spans.attend_padded(q, k, v), spans.attend(q, k, v))


def test_rubbish_of_an_earlier_clip_is_not_read() -> None:
    model = ours(published())
    clean, dirty = cache(model, 1), cache(model, 1)
    dirty.keys.fill_(1e4)
    dirty.values.fill_(-1e4)
    prompt = torch.randn(9, 64)
    outcomes = []
    for held in (clean, dirty):
        model(prompt, Step([(0, 9)], [], [], CPU), held)
        outcomes.append(model(model.embed([5]), Step([], [0], [10], CPU), held))
    assert torch.equal(*outcomes)


def test_names_that_are_joined_dropped_and_left_over() -> None:
    names = ["lm_head.weight", "model.norm.weight", "model.layers.0.self_attn.q_proj.bias"]
    found = Qwen3(CONFIG).sources(names)
    assert "lm_head.weight" not in found
    assert found["model.layers.0.self_attn.q_proj.bias"] == names[2]  # for fill() to refuse
    assert found["model.layers.2.mlp.gate_up_proj.weight"] == (
        "model.layers.2.mlp.gate_proj.weight",
        "model.layers.2.mlp.up_proj.weight",
    )
    assert "lm_head.weight" in Qwen3(UNTIED).sources(names)


def test_numbers_of_the_cache() -> None:
    state = published()
    assert ours(state).cache_dtype is torch.float32
    assert ours(state).to(torch.bfloat16).cache_dtype is torch.bfloat16
    assert ours(state, int8=True).cache_dtype is torch.bfloat16
