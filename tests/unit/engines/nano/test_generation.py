"""Continuous batching: what a clip says alone, in any company, and in what order."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from lingting.engines.base import Clip
from lingting.engines.nano import generation
from lingting.engines.nano.adaptor import Adaptor, AdaptorConfig
from lingting.engines.nano.ctc import CtcBranch
from lingting.engines.nano.decoder import Qwen3, Qwen3Config
from lingting.engines.nano.generation import Generated, Generator, Request, TokenBudget
from lingting.engines.nano.graphs import TokenWriter
from lingting.engines.nano.loops import is_looping
from lingting.engines.nano.work import TOKENS_PER_S_NANO, most_tokens, trained_rows
from lingting.engines.neural import devices
from lingting.engines.neural.sanm import SanmConfig, SanmEncoder
from tests.unit.engines.nano.tiny_decoders import CONFIG, ours, published, requests

BUDGETS = (
    TokenBudget(1024, 100_000, 16),
    TokenBudget(64, 700, 5),
    TokenBudget(1, 1, 1),
    TokenBudget(20, 100_000, 40),
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with devices.using_threads(1):
        yield


@pytest.fixture(scope="module")
def model() -> Qwen3:
    return ours(published())


def written(model: Qwen3, asked: list[Request], budget: TokenBudget) -> list[Generated]:
    return Generator(model, eos_ids=(), budget=budget, detects_loops=False).generate(asked)


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_company_changes_no_token(model: Qwen3, budget: TokenBudget) -> None:
    asked = requests(18)
    together = written(model, asked, budget)
    for one, request in zip(together, asked, strict=True):
        (alone,) = written(model, [request], budget)
        assert one.tokens == alone.tokens
        assert one.logprobs == pytest.approx(alone.logprobs, abs=1e-4)
        assert len(one.tokens) == request.max_new_tokens
        assert one.stop == "length"


def test_with_8_bit_weights_not_a_bit_of_a_prompt_pass_changes() -> None:
    """Whole-number sums and attention clip by clip: the first token's probability is the same."""
    model = ours(published(), int8=True)
    asked = requests(6)
    together = written(model, asked, BUDGETS[0])
    for one, request in zip(together, asked, strict=True):
        (alone,) = written(model, [request], BUDGETS[0])
        assert one.tokens == alone.tokens
        assert one.logprobs[0] == alone.logprobs[0]


def test_padded_shapes_as_on_cuda_write_the_same(
    model: Qwen3, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests(15)
    expected = written(model, asked, BUDGETS[0])
    shapes = set()

    class Static(TokenWriter):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, static=True)  # type: ignore[arg-type]

        def _compute(
            self, tokens: torch.Tensor, positions: torch.Tensor, length: int
        ) -> tuple[torch.Tensor, torch.Tensor]:
            shapes.add((len(tokens), length))
            return super()._compute(tokens, positions, length)

    monkeypatch.setattr(generation, "TokenWriter", Static)
    found = written(model, asked, BUDGETS[0])
    assert [one.tokens for one in found] == [one.tokens for one in expected]
    assert {rows for rows, _ in shapes} <= {1, 2, 4, 8, 15}


def test_more_clips_than_places_and_each_place_is_refilled_at_once(
    model: Qwen3, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: list[int] = []
    real = generation._pass

    def counted(rows: list[object], writer: TokenWriter) -> list[object]:
        under_way.append(len(rows))
        return real(rows, writer)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(generation, "_pass", counted)
    asked = requests(30)
    written(model, asked, TokenBudget(1024, 100_000, 4))
    total = sum(one.max_new_tokens for one in asked)
    assert sum(under_way) == total  # no pass is spent on a clip that has ended
    first_gap = next(at for at, count in enumerate(under_way) if count < 4)
    assert all(count == 4 for count in under_way[:first_gap])
    assert first_gap > 0.8 * total / 4  # only the last clips leave places empty


def test_the_cache_has_the_places_that_the_budget_allows(model: Qwen3) -> None:
    asked = [Request(torch.randn(30, 64), 34) for _ in range(9)]  # 64 tokens each
    for tokens, slots in ((10, 1), (64, 1), (130, 2), (10_000, 6)):
        generator = Generator(model, eos_ids=(), budget=TokenBudget(1024, tokens, 6))
        rows = [generation._Row(at, one) for at, one in enumerate(asked)]
        assert generator._writer_for(rows, TokenBudget(1024, tokens, 6)).cache.slots == slots


def test_on_cuda_the_cache_stays_grows_and_is_as_small_as_the_call(model: Qwen3) -> None:
    """Shown on the CPU; nothing is recorded here."""
    generator = Generator(model, eos_ids=(), budget=TokenBudget(1024, 100_000, 256))
    generator._stays = True
    few, others, many = requests(3), requests(4, seed=7), requests(9, seed=8)
    sizes, caches = [], []
    for asked in (few, others, many, few):
        found = generator.generate(asked)
        assert [one.tokens for one in found] == [
            one.tokens for one in Generator(model, eos_ids=()).generate(asked)
        ]
        assert generator._kept is not None
        caches.append(generator._kept.cache)
        sizes.append((caches[-1].slots, caches[-1].capacity))
    assert sizes == [(4, 256), (4, 256), (16, 256), (16, 256)]
    assert caches[0] is caches[1]
    assert caches[2] is caches[3]
    generator.generate([Request(torch.randn(250, CONFIG.hidden_size), 30)])
    assert generator._kept.cache.capacity == 512
    generator.forget()
    assert generator._kept is None


def test_what_a_cache_holds_counts_as_free_for_the_next(
    model: Qwen3, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def measured(model: Qwen3, device: torch.device, held_bytes: int) -> TokenBudget:
        seen.append(held_bytes)
        return BUDGETS[0]

    monkeypatch.setattr(TokenBudget, "measured", staticmethod(measured))
    generator = Generator(model, eos_ids=())
    generator._stays = True
    generator.generate(requests(3))
    generator.generate(requests(3))
    assert seen == [0, 2 * 3 * 4 * 2 * 256 * 16 * 4]  # keys and values: layers, slots, heads, …


def test_a_budget_is_a_share_of_free_memory(model: Qwen3, monkeypatch: pytest.MonkeyPatch) -> None:
    token_bytes = 2 * 3 * 2 * 16 * 4
    monkeypatch.setattr(generation, "free_bytes", lambda _: 1000 * token_bytes)
    assert TokenBudget.measured(model, torch.device("cpu")).cache_tokens == 250
    held = TokenBudget.measured(model, torch.device("cpu"), 400 * token_bytes)
    assert held.cache_tokens == 350
    monkeypatch.setattr(generation, "free_bytes", lambda _: 0)
    assert TokenBudget.measured(model, torch.device("cpu")).cache_tokens == 1


def test_the_end_token_ends_a_clip_and_is_not_part_of_it(model: Qwen3) -> None:
    asked = requests(20)
    free = written(model, asked, BUDGETS[0])
    long = next(one for one in free if len(set(one.tokens)) > 3)
    end = long.tokens[len(long.tokens) // 2]
    found = Generator(model, eos_ids={end}, budget=BUDGETS[1], detects_loops=False).generate(asked)
    for one, before in zip(found, free, strict=True):
        assert end not in one.tokens
        is_ended = end in before.tokens
        assert one.stop == ("end" if is_ended else "length")
        until = before.tokens.index(end) if is_ended else len(before.tokens)
        assert one.tokens == before.tokens[:until]
        assert len(one.logprobs) == len(one.tokens)
        assert all(value <= 0 for value in one.logprobs)


def test_a_loop_ends_early(model: Qwen3) -> None:
    asked = [Request(request.embeddings, 200) for request in requests(20)]
    free = written(model, asked, BUDGETS[0])
    looping = [one for one in free if is_looping(one.tokens)]
    assert looping  # random models do loop
    found = Generator(model, eos_ids=(), budget=BUDGETS[0]).generate(asked)
    for one, before in zip(found, free, strict=True):
        assert one.tokens == before.tokens[: len(one.tokens)]
        assert (one.stop == "loop") == (len(one.tokens) < 200)
        if one in looping:
            assert one.stop == "loop"


def test_log_probabilities_are_those_of_the_softmax(model: Qwen3) -> None:
    (request,) = requests(1)
    (found,) = written(model, [Request(request.embeddings, 1)], BUDGETS[0])
    with torch.inference_mode():
        from lingting.engines.nano.decoder import Step

        cache = generation._cache(model, 1, 96)
        step = Step([(0, len(request.embeddings))], [], [], torch.device("cpu"))
        logits = model.logits(model(request.embeddings, step, cache))[0]
    probabilities = logits.double().softmax(-1)
    assert found.tokens == [int(probabilities.argmax())]
    assert math.exp(found.logprobs[0]) == pytest.approx(float(probabilities.max()), rel=1e-5)


def test_nothing_asked_nothing_written(model: Qwen3) -> None:
    assert written(model, [], BUDGETS[0]) == []
    nothing = Request(torch.randn(5, CONFIG.hidden_size), 0)
    something = Request(torch.randn(5, CONFIG.hidden_size), 2)
    found = written(model, [nothing, something], BUDGETS[0])
    assert found[0] == Generated([], [], "length")
    assert len(found[1].tokens) == 2


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([7] * 15, False),
        ([7] * 16, True),
        ([1, 2] * 7, False),
        ([1, 2] * 8, True),
        ([1, 2, 3, 4, 5] * 3, False),
        ([9, 8, 1, 2, 3, 4, 5] + [1, 2, 3, 4, 5] * 3, True),
        ([*range(40)] * 4, True),
        ([*range(41)] * 4, False),
        ([1, 2] * 8 + [3], False),
        ([*range(100)], False),
        ([], False),
    ],
)
def test_what_a_loop_is(tokens: list[int], expected: bool) -> None:
    assert is_looping(tokens) is expected


def test_weights_and_cache_of_16_long_clips_on_cuda_are_under_3_gb() -> None:
    """At full size, in bfloat16, on a device without memory; the rest of 4 GB is for a pass."""
    with torch.device("meta"):
        adaptor = Adaptor(AdaptorConfig())
        branch = Adaptor(AdaptorConfig(512, 2048, 512, 8, linear_units=128, num_blocks=5))
        decoder = Qwen3(Qwen3Config())
        networks = torch.nn.ModuleList(
            (SanmEncoder(SanmConfig()), adaptor, CtcBranch(branch, 512, 60_515), decoder)
        ).bfloat16()
    weights = sum(parameter.nbytes for parameter in networks.parameters())
    generator = Generator(decoder, eos_ids=())
    generator._stays = True
    clip = Clip(np.zeros(30 * 16_000, np.float32))
    request = Request(
        torch.empty(40 + trained_rows(500), 1024, device="meta"),
        most_tokens(clip, TOKENS_PER_S_NANO),
    )
    rows = [generation._Row(at, request) for at in range(16)]
    plenty = TokenBudget(16_384, 10**7, 256)
    cache = generator._writer_for(rows, plenty).cache
    assert cache.slots == 16
    assert 1.5e9 < weights + cache.size_bytes < 3e9
