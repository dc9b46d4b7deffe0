"""From tokens to the next tokens: passes over the decoder, recorded on CUDA and replayed.

On a GPU a pass of one token per clip is some five hundred kernels of a few microseconds; starting
them one by one takes longer than running them. A CUDA graph starts them at once, but only for
fixed shapes and addresses: rows are padded to a power of two and lengths to a multiple of 128, and
the cache stays where it is. A CPU needs none of this.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lingting.engines.nano.cache import SlotCache
from lingting.engines.nano.decoder import Qwen3, Step

log = logging.getLogger(__name__)

_STATIC_LENGTH_STEP = 128

Next = tuple[int, float]
"""A token and its log-probability."""


class TokenWriter:
    """Passes over one model and one cache.

    ``static`` pads shapes to few; it is the default on CUDA, where they are recorded.
    """

    def __init__(self, model: Qwen3, cache: SlotCache, *, static: bool | None = None) -> None:
        self.cache = cache
        self._model = model
        self._static = model.device.type == "cuda" if static is None else static
        self._records = self._static and model.device.type == "cuda"
        self._graphs: dict[tuple[int, int], _Graph] = {}
        # One pool for what all of them need on the way: the widest is the scores of the whole
        # vocabulary, and no two run at once. What one leaves is read before the next begins.
        self._pool: Any = torch.cuda.graph_pool_handle() if self._records else None

    def read(
        self,
        prompts: Sequence[tuple[int, Tensor]],
        writing: Sequence[int],
        tokens: Sequence[int],
        lengths: Sequence[int],
    ) -> list[Next]:
        """Prompts ``[L, hidden]`` of new clips, each with its slot, and in the same pass one token
        for each slot in ``writing``: its last ``tokens``, and its ``lengths`` with that token.

        What comes next, the new clips' first.
        """
        spans = [(slot, len(rows)) for slot, rows in prompts]
        step = Step(spans, writing, lengths, self._model.device)
        x = torch.cat([rows for _, rows in prompts]).to(self._model.device, self._model.dtype)
        if writing:
            x = torch.cat((x, self._model.embed(tokens).to(x.dtype)))
        return _listed(*_best(self._model.logits(self._model(x, step, self.cache))))

    def write(self, tokens: Sequence[int], lengths: Sequence[int]) -> list[Next]:
        """The same for slots 0, 1, … and no new clip."""
        rows, length = len(tokens), max(lengths)
        padding = [0] * (self._rows(rows) - rows)  # free slots: what lands in them is not read
        given = torch.tensor([*tokens, *padding], device=self._model.device)
        positions = torch.tensor([*(n - 1 for n in lengths), *padding], device=self._model.device)
        found = self._pass(given, positions, self._length(length))
        return _listed(*(tensor[:rows] for tensor in found))

    def _rows(self, rows: int) -> int:
        return min(self.cache.slots, 1 << (rows - 1).bit_length()) if self._static else rows

    def _length(self, length: int) -> int:
        if not self._static:
            return length
        steps = -(-length // _STATIC_LENGTH_STEP)
        return min(self.cache.capacity, steps * _STATIC_LENGTH_STEP)

    def _pass(self, tokens: Tensor, positions: Tensor, length: int) -> tuple[Tensor, Tensor]:
        if not self._records:
            return self._compute(tokens, positions, length)
        # Streams belong to the current device: on another one nothing would be recorded at all.
        with torch.cuda.device(self._model.device):
            return self._replayed(tokens, positions, length)

    def _replayed(self, tokens: Tensor, positions: Tensor, length: int) -> tuple[Tensor, Tensor]:
        shape = (len(tokens), length)
        if shape not in self._graphs:
            try:
                self._graphs[shape] = _Graph(self, tokens, positions, length, self._pool)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as exc:  # a driver or a library that cannot record: slower, right
                log.warning("nano.graph_failed rows=%d length=%d: %s", *shape, type(exc).__name__)
                self._records = False
                return self._compute(tokens, positions, length)
        return self._graphs[shape].replay(tokens, positions)

    def _compute(self, tokens: Tensor, positions: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """``[rows]`` each: the next tokens and their log-probabilities."""
        step = Step.of_tokens(positions, length)
        x = self._model.embed(tokens).to(self._model.dtype)
        return _best(self._model.logits(self._model(x, step, self.cache)))


class _Graph:
    """One recorded pass: its inputs and outputs stay at their addresses."""

    def __init__(
        self, writer: TokenWriter, tokens: Tensor, positions: Tensor, length: int, pool: Any
    ) -> None:
        self._tokens = tokens.clone()
        self._positions = positions.clone()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        own = torch.cuda.current_stream()
        stream.wait_stream(own)
        with torch.cuda.stream(stream):  # libraries set themselves up outside the recording
            writer._compute(self._tokens, self._positions, length)
        own.wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile; only what this one does is recorded.
        try:
            with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
                self._found = writer._compute(self._tokens, self._positions, length)
        except BaseException:
            torch.cuda.set_stream(own)  # a recording that fails at its end leaves its own behind
            raise

    def replay(self, tokens: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        self._tokens.copy_(tokens)
        self._positions.copy_(positions)
        self._graph.replay()
        return self._found


def _best(logits: Tensor) -> tuple[Tensor, Tensor]:
    """``[n, vocab]`` → the most probable tokens and their log-probabilities ``[n]``."""
    highest, tokens = logits.max(-1)
    return tokens, highest - logits.logsumexp(-1)


def _listed(tokens: Tensor, logprobs: Tensor) -> list[Next]:
    return list(zip(tokens.tolist(), logprobs.tolist(), strict=True))
