"""The language model that writes the text: Qwen3, with nothing in it that speech does not need.

One pass (:class:`Step`) takes rows of two kinds at once: all tokens of the prompts of new clips,
packed one behind the other without padding, and one token of each clip that is already being
written. Linear layers see one matrix ``[N, width]``; only attention knows which clip a row is of.
The weights are read once for all of them, which is what a small batch on a CPU costs.

Submodules are named as Hugging Face's Qwen3, except that query, key and value are one layer, and
so are gate and up; :meth:`Qwen3.sources` says what they are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lingting.engines.nano.cache import SlotCache
from lingting.engines.neural.transformer import Linear

_FUSED = {
    "self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "mlp.gate_up_proj": ("mlp.gate_proj", "mlp.up_proj"),
}
_HEAD = "lm_head.weight"
LENGTH_STEP = 32
"""Attention reads whole blocks of so many positions: few shapes, and sums in one order."""


@dataclass(frozen=True, slots=True)
class Qwen3Config:
    """Hugging Face's names; the defaults are Qwen3-0.6B's, which every Fun-ASR-Nano has."""

    vocab_size: int = 151_936
    hidden_size: int = 1024
    intermediate_size: int = 3072
    num_hidden_layers: int = 28
    num_attention_heads: int = 16
    num_key_value_heads: int = 8
    head_dim: int = 128
    rope_theta: float = 1_000_000.0
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 40_960
    tie_word_embeddings: bool = True


class Step:
    """The rows of one pass: ``prompts`` as (slot, length), then one row per slot in ``writing``.

    ``lengths`` counts for each slot in ``writing`` how many tokens it holds with the new one.
    """

    def __init__(
        self,
        prompts: Sequence[tuple[int, int]],
        writing: Sequence[int],
        lengths: Sequence[int],
        device: torch.device,
    ) -> None:
        self.prompts = _Prompts.of(prompts, device) if prompts else None
        slots = [slot for slot, length in prompts for _ in range(length)]
        positions = [at for _, length in prompts for at in range(length)]
        self.slots = torch.tensor([*slots, *writing], device=device)
        self.positions = torch.tensor([*positions, *(n - 1 for n in lengths)], device=device)
        self.prompt_rows = len(slots)
        self.writing = None
        if writing:
            places = self.slots[len(slots) :]
            self.writing = Writing.of(
                self.positions[len(slots) :],
                rows=max(writing) + 1,
                length=max(lengths),
                places=None if list(writing) == list(range(len(writing))) else places,
            )

    @classmethod
    def of_tokens(cls, positions: Tensor, length: int) -> Step:
        """One row for each of the slots 0, 1, …; no value leaves the device (CUDA graphs)."""
        step = cls.__new__(cls)
        step.prompts, step.prompt_rows = None, 0
        step.slots = torch.arange(len(positions), device=positions.device)
        step.positions = positions
        step.writing = Writing.of(positions, rows=len(positions), length=length, places=None)
        return step

    @cached_property
    def asked(self) -> Tensor | None:
        """The rows whose next token is wanted; None when it is every row."""
        if self.prompts is None:
            return None
        last = [end - 1 for _, end in self.prompts.spans]
        return torch.tensor(
            [*last, *range(self.prompt_rows, len(self.slots))], device=self.slots.device
        )


@dataclass(frozen=True)
class _Prompts:
    """Where each new clip's rows begin and end."""

    spans: tuple[tuple[int, int], ...]
    device: torch.device

    @classmethod
    def of(cls, prompts: Sequence[tuple[int, int]], device: torch.device) -> _Prompts:
        spans, begin = [], 0
        for _, length in prompts:
            spans.append((begin, begin + length))
            begin += length
        return cls(tuple(spans), device)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal attention inside each clip; ``q [N, heads, width]`` → ``[N, heads, width]``."""
        if q.device.type == "cpu":
            return torch.cat([_causal(q[a:b], k[a:b], v[a:b]) for a, b in self.spans])
        return self.attend_padded(q, k, v)

    def attend_padded(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same in one call: no row looks ahead, so padding at the end is not seen."""
        padded, real = self._places
        q, k, v = (x[padded].transpose(1, 2) for x in (q, k, v))
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return found.transpose(1, 2).flatten(0, 1)[real]

    @cached_property
    def _places(self) -> tuple[Tensor, Tensor]:
        """``[B, longest]``: the row at each place; ``[N]``: the place of each row.

        Made once for all layers: each making, and each choice by a mask, waits for a GPU.
        """
        longest = max(b - a for a, b in self.spans)
        padded = [[min(a + at, b - 1) for at in range(longest)] for a, b in self.spans]
        real = [
            clip * longest + at for clip, (a, b) in enumerate(self.spans) for at in range(b - a)
        ]
        return torch.tensor(padded, device=self.device), torch.tensor(real, device=self.device)


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One clip: ``[L, heads, width]`` each."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    found = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return found[0].transpose(0, 1)


@dataclass(frozen=True, slots=True)
class Writing:
    """Attention of one new token per slot over what its slot holds."""

    rows: int
    """Slots 0 to ``rows`` are read."""
    length: int
    """Positions of a slot that are read, a multiple of LENGTH_STEP."""
    mask: Tensor
    """``[rows, 1, 1, length]``: 0 where a slot holds a token, -inf behind it."""
    places: Tensor | None
    """The slot of each row; None when row 0 is slot 0 and so on."""

    @classmethod
    def of(cls, positions: Tensor, *, rows: int, length: int, places: Tensor | None) -> Writing:
        length = (length + LENGTH_STEP - 1) // LENGTH_STEP * LENGTH_STEP
        if places is not None:  # slots that are not asked read their first place only
            positions = positions.new_zeros(rows).index_copy(0, places, positions)
        is_empty = torch.arange(length, device=positions.device) > positions[:, None]
        mask = torch.zeros(is_empty.shape, device=positions.device)
        mask.masked_fill_(is_empty, float("-inf"))
        return cls(rows, length, mask[:, None, None], places)

    def attend(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """``q [n, heads, width]`` over a layer's cache → ``[n, heads, width]``."""
        if self.places is not None:
            q = q.new_zeros(self.rows, *q.shape[1:]).index_copy(0, self.places, q)
        keys = keys[: self.rows, :, : self.length]
        values = values[: self.rows, :, : self.length]
        # The query heads of a key head stand where the queries of one sequence do: no copies.
        grouped = q.view(self.rows, keys.shape[1], -1, q.shape[-1]).to(keys.dtype)
        found = F.scaled_dot_product_attention(
            grouped, keys, values, attn_mask=self.mask.to(keys.dtype)
        )
        found = found.reshape(q.shape).to(q.dtype)
        return found if self.places is None else found[self.places]


class RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.shape = (size,)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.shape, self.weight, self.eps)


Rotation = tuple[Tensor, Tensor]
"""Cosines and signed sines ``[N, 1, width]`` of rotary positions."""


def _rotated(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotary position embedding, halves layout; ``x [N, heads, width]``."""
    cosines, sines = rotation
    return torch.addcmul(x * cosines, x.roll(x.shape[-1] // 2, -1), sines)


class Attention(nn.Module):
    def __init__(self, config: Qwen3Config, linear: Linear) -> None:
        super().__init__()
        width, eps = config.head_dim, config.rms_norm_eps
        self.sections = (config.num_attention_heads, *2 * (config.num_key_value_heads,))
        self.width = width
        self.qkv_proj = linear(config.hidden_size, sum(self.sections) * width, False)
        self.o_proj = linear(self.sections[0] * width, config.hidden_size, False)
        self.q_norm = RMSNorm(width, eps)
        self.k_norm = RMSNorm(width, eps)

    def forward(
        self, x: Tensor, layer: int, step: Step, cache: SlotCache, rotation: Rotation
    ) -> Tensor:
        """``[N, hidden]`` → what the heads found ``[N, heads * width]``, before ``o_proj``."""
        q, k, v = self.qkv_proj(x).view(len(x), -1, self.width).split(self.sections, 1)
        q = _rotated(self.q_norm(q), rotation)
        k = _rotated(self.k_norm(k), rotation)
        cache.write(layer, step.slots, step.positions, k, v)
        split, found = step.prompt_rows, []
        if step.prompts is not None:
            found.append(step.prompts.attend(q[:split], k[:split], v[:split]))
        if step.writing is not None:
            found.append(step.writing.attend(q[split:], cache.keys[layer], cache.values[layer]))
        return (found[0] if len(found) == 1 else torch.cat(found)).reshape(len(x), -1)


class Mlp(nn.Module):
    def __init__(self, config: Qwen3Config, linear: Linear) -> None:
        super().__init__()
        self.gate_up_proj = linear(config.hidden_size, 2 * config.intermediate_size, False)
        self.down_proj = linear(config.intermediate_size, config.hidden_size, False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, -1)
        out: Tensor = self.down_proj(F.silu(gate) * up)
        return out


class Layer(nn.Module):
    def __init__(self, config: Qwen3Config, linear: Linear) -> None:
        super().__init__()
        self.self_attn = Attention(config, linear)
        self.mlp = Mlp(config, linear)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        x: Tensor,
        layer: int,
        step: Step,
        cache: SlotCache,
        rotation: Rotation,
        kept: Tensor | None,
    ) -> Tensor:
        """``kept`` are the rows that go on (the last layer's others are of no use)."""
        found = self.self_attn(self.input_layernorm(x), layer, step, cache, rotation)
        if kept is not None:
            x, found = x[kept], found[kept]
        x = x + self.self_attn.o_proj(found)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class _Body(nn.Module):
    def __init__(
        self, config: Qwen3Config, linear: Linear, embedding: Callable[[int, int], Any]
    ) -> None:
        super().__init__()
        self.embed_tokens: Any = embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, linear) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Qwen3(nn.Module):
    """Stateless: what was heard so far lies in the cache that every call is given."""

    def __init__(
        self,
        config: Qwen3Config,
        linear: Linear = nn.Linear,
        embedding: Callable[[int, int], Any] = nn.Embedding,
    ) -> None:
        super().__init__()
        self.config = config
        self.model = _Body(config, linear, embedding)
        if not config.tie_word_embeddings:
            self.lm_head = linear(config.hidden_size, config.vocab_size, False)

    def sources(self, names: Iterable[str]) -> dict[str, str | tuple[str, ...]]:
        """Our tensors made of the published ones, for ``Tensors.renamed``.

        Names we do not know stay, so that whoever fills the model finds them left over; the copy
        of a tied head goes.
        """
        found: dict[str, str | tuple[str, ...]] = {
            name: name for name in names if not (name == _HEAD and self.config.tie_word_embeddings)
        }
        for layer in range(self.config.num_hidden_layers):
            for fused, parts in _FUSED.items():
                olds = tuple(f"model.layers.{layer}.{part}.weight" for part in parts)
                for old in olds:
                    found.pop(old, None)
                found[f"model.layers.{layer}.{fused}.weight"] = olds
        return found

    @property
    def device(self) -> torch.device:
        return self.model.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of activations."""
        return self.model.norm.weight.dtype

    @property
    def cache_dtype(self) -> torch.dtype:
        """Of keys and values: bfloat16 beside 8-bit weights, else that of activations."""
        is_float = isinstance(self.model.embed_tokens, nn.Embedding)
        return self.dtype if is_float else torch.bfloat16

    def embed(self, ids: Sequence[int] | Tensor) -> Tensor:
        """Rows ``[n, hidden]`` of token ids."""
        index = torch.as_tensor(ids, dtype=torch.long, device=self.device)
        rows: Tensor = self.model.embed_tokens(index)
        return rows

    def forward(self, x: Tensor, step: Step, cache: SlotCache) -> Tensor:
        """``x [N, hidden]``, the rows of ``step`` → normalised rows ``[asked, hidden]``."""
        rotation = self._rotation(step.positions)
        last = len(self.model.layers) - 1
        for at, layer in enumerate(self.model.layers):
            x = layer(x, at, step, cache, rotation, step.asked if at == last else None)
        rows: Tensor = self.model.norm(x)
        return rows

    def logits(self, rows: Tensor) -> Tensor:
        """``[n, hidden]`` → ``[n, vocab]`` in float32."""
        embedding = self.model.embed_tokens
        if not self.config.tie_word_embeddings:
            found: Tensor = self.lm_head(rows)
        elif isinstance(embedding, nn.Embedding):
            found = F.linear(rows, embedding.weight)
        else:
            found = embedding.logits(rows)
        return found.float()

    def _rotation(self, positions: Tensor) -> Rotation:
        half = torch.arange(0, self.config.head_dim, 2, device=positions.device).float()
        frequencies = self.config.rope_theta ** -(half / self.config.head_dim)
        angles = positions[:, None, None].float() * frequencies
        cosines, sines = angles.cos(), angles.sin()
        return (
            torch.cat((cosines, cosines), -1).to(self.dtype),
            torch.cat((-sines, sines), -1).to(self.dtype),
        )
