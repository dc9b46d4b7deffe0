"""Many clips through one decoder: a finished clip's place is taken by the next at once.

Clips are sorted by length, the longest first. Each pass writes one token for every clip under way
and reads the prompts of the clips that have just found a place. What a clip says does not depend
on its neighbours: no row sees another's, and every result is computed row by row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from lingting.engines.nano.cache import SlotCache, token_bytes
from lingting.engines.nano.decoder import LENGTH_STEP, Qwen3
from lingting.engines.nano.graphs import Next, TokenWriter
from lingting.engines.nano.loops import is_looping
from lingting.engines.neural.devices import free_bytes

Stop = Literal["end", "length", "loop"]

_CACHE_SHARE = {"cpu": 0.25, "cuda": 0.5}  # of free memory; the encoder needs some as well
_MOST_ROWS = {"cpu": 16, "cuda": 256}
_PREFILL_TOKENS = {"cpu": 1024, "cuda": 16_384}
# A cache that stays is made in coarse steps, so that the next call's clips fit it as well.
_STAYING_STEP = 256


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A clip for the decoder: prompt and audio rows ``[L, hidden]``, L at least 1."""

    embeddings: Tensor
    max_new_tokens: int

    @property
    def most_tokens(self) -> int:
        return len(self.embeddings) + self.max_new_tokens


@dataclass(frozen=True, slots=True)
class Generated:
    """What was written, without the token that ended it."""

    tokens: list[int]
    logprobs: list[float]
    """Of each token, natural logarithm."""
    stop: Stop


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """How much is under way at once."""

    prefill_tokens: int
    """Prompt rows in one pass; a single longer prompt passes alone."""
    cache_tokens: int
    """Places in the cache of all clips together."""
    rows: int
    """Clips at once."""

    @classmethod
    def measured(cls, model: Qwen3, device: torch.device, held_bytes: int = 0) -> TokenBudget:
        """A share of the memory that is free now, what an earlier cache holds included."""
        kind = "cpu" if device.type == "cpu" else "cuda"
        share = int((free_bytes(device) + held_bytes) * _CACHE_SHARE[kind])
        tokens = share // _token_bytes(model)
        return cls(_PREFILL_TOKENS[kind], max(1, tokens), _MOST_ROWS[kind])


@dataclass(slots=True)
class _Row:
    """A clip that has a place."""

    at: int
    request: Request
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Tokens in the cache after the next pass."""
        return len(self.request.embeddings) + len(self.tokens)


class Generator:
    """Greedy decoding on one model. ``detects_loops`` ends a clip that repeats itself.

    On CUDA the cache and what was recorded stay for the next call, until :meth:`forget`.
    """

    def __init__(
        self,
        model: Qwen3,
        *,
        eos_ids: Collection[int],
        budget: TokenBudget | None = None,
        detects_loops: bool = True,
    ) -> None:
        self._model = model
        self._eos_ids = frozenset(eos_ids)
        self._budget = budget
        self._detects_loops = detects_loops
        self._stays = model.device.type == "cuda"
        self._kept: TokenWriter | None = None

    def generate(self, requests: Sequence[Request]) -> list[Generated]:
        """One result per request, in order."""
        results: list[Generated | None] = [
            None if request.max_new_tokens > 0 else Generated([], [], "length")
            for request in requests
        ]
        waiting = [_Row(at, one) for at, one in enumerate(requests) if results[at] is None]
        waiting.sort(key=lambda row: (row.request.most_tokens, -row.at))  # taken from the end
        if waiting:
            with torch.inference_mode():
                self._run(waiting, results)
        return [result for result in results if result is not None]

    def forget(self) -> None:
        """Let go of the memory that is kept between calls."""
        self._kept = None

    def _run(self, waiting: list[_Row], results: list[Generated | None]) -> None:
        held_bytes = self._kept.cache.size_bytes if self._kept else 0
        budget = self._budget or TokenBudget.measured(self._model, self._model.device, held_bytes)
        writer = self._writer_for(waiting, budget)
        rows: list[_Row] = []  # by slot
        free: list[int] = []
        while waiting or rows:
            _admit(rows, free, waiting, writer.cache.slots, budget.prefill_tokens)
            _close_gaps(rows, free, writer.cache)
            for slot, (token, logprob) in _pass(rows, writer):
                row = rows[slot]
                stop = self._settle(row, token, logprob)
                if stop is not None:
                    results[row.at] = Generated(row.tokens, row.logprobs, stop)
                    free.append(slot)
            if len(free) == len(rows):
                rows.clear()
                free.clear()

    def _writer_for(self, waiting: Sequence[_Row], budget: TokenBudget) -> TokenWriter:
        """A cache with room for the largest request in each slot, and its passes.

        It has no more slots than clips wait, or few more. On CUDA it stays for the next call, for
        the sake of what was recorded, and only grows; on a CPU its memory is given back.
        """
        longest = max(row.request.most_tokens for row in waiting)
        kept = self._kept.cache if self._kept else None
        step = _STAYING_STEP if self._stays else LENGTH_STEP
        capacity = max(-(-longest // step) * step, kept.capacity if kept else 0)
        wanted = 1 << (len(waiting) - 1).bit_length() if self._stays else len(waiting)
        wanted = max(wanted, kept.slots if kept else 0)
        slots = max(1, min(budget.rows, budget.cache_tokens // capacity, wanted))
        if self._kept and self._kept.cache.capacity >= capacity and self._kept.cache.slots >= slots:
            return self._kept
        self._kept = kept = None  # its memory is free before the next is asked for
        writer = TokenWriter(self._model, _cache(self._model, slots, capacity))
        self._kept = writer if self._stays else None
        return writer

    def _settle(self, row: _Row, token: int, logprob: float) -> Stop | None:
        """Keep a token; why the clip ends with it, if it does."""
        if token in self._eos_ids:
            return "end"
        row.tokens.append(token)
        row.logprobs.append(logprob)
        if self._detects_loops and is_looping(row.tokens):
            return "loop"
        return "length" if len(row.tokens) == row.request.max_new_tokens else None


def _pass(rows: Sequence[_Row], writer: TokenWriter) -> list[tuple[int, Next]]:
    """The next token of every row, with the row's slot."""
    new = [slot for slot, row in enumerate(rows) if not row.tokens]
    writing = [slot for slot, row in enumerate(rows) if row.tokens]
    tokens = [rows[slot].tokens[-1] for slot in writing]
    lengths = [rows[slot].length for slot in writing]
    if not new:
        found = writer.write(tokens, lengths)
    else:
        prompts = [(slot, rows[slot].request.embeddings) for slot in new]
        found = writer.read(prompts, writing, tokens, lengths)
    return list(zip([*new, *writing], found, strict=True))


def _admit(
    rows: list[_Row], free: list[int], waiting: list[_Row], slots: int, prefill_tokens: int
) -> None:
    """Waiting clips into free slots, as long as their prompts fit into one pass."""
    room = prefill_tokens
    while waiting and (free or len(rows) < slots):
        length = len(waiting[-1].request.embeddings)
        if length > room < prefill_tokens:
            return
        room -= length
        if free:
            rows[free.pop()] = waiting.pop()
        else:
            rows.append(waiting.pop())


def _close_gaps(rows: list[_Row], free: list[int], cache: SlotCache) -> None:
    """Slots nobody waits for go: the last row moves into the gap."""
    for slot in sorted(free, reverse=True):
        last = rows.pop()
        if slot != len(rows):
            rows[slot] = last
            if last.tokens:
                cache.move(len(rows), slot, last.length - 1)
    free.clear()


def _token_bytes(model: Qwen3) -> int:
    return token_bytes(
        layers=model.config.num_hidden_layers,
        heads=model.config.num_key_value_heads,
        width=model.config.head_dim,
        dtype=model.cache_dtype,
    )


def _cache(model: Qwen3, slots: int, capacity: int) -> SlotCache:
    return SlotCache(
        layers=model.config.num_hidden_layers,
        slots=slots,
        heads=model.config.num_key_value_heads,
        capacity=capacity,
        width=model.config.head_dim,
        dtype=model.cache_dtype,
        device=model.device,
    )
