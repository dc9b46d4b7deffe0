"""A plain pre-norm Transformer block, as the adaptor and the CTC decoder stack them.

Submodules are named as in the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Linear = Callable[[int, int, bool], nn.Module]
"""Makes a layer of ``(in_features, out_features, bias)``; chooses float or int8 weights."""


def padding_mask(lengths: Tensor, frames: int) -> Tensor | None:
    """``[B, 1, 1, frames]``, True where a clip has a frame; None when no row is padded."""
    if bool((lengths == frames).all()):
        return None
    at = torch.arange(frames, device=lengths.device)
    return (at < lengths[:, None])[:, None, None, :]


class SelfAttention(nn.Module):
    """Multi-head attention over all frames of a clip."""

    def __init__(self, size: int, heads: int, *, linear: Linear = nn.Linear) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q = linear(size, size, True)
        self.linear_k = linear(size, size, True)
        self.linear_v = linear(size, size, True)
        self.linear_out = linear(size, size, True)

    def forward(self, x: Tensor, mask: Tensor | None, rows: int | None = None) -> Tensor:
        """``x [B, T, size]`` → ``[B, rows, size]``; only the first ``rows`` frames ask."""
        asking = x[:, :rows]
        q, k, v = (
            self._split(layer(frames))
            for layer, frames in ((self.linear_q, asking), (self.linear_k, x), (self.linear_v, x))
        )
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        joined: Tensor = self.linear_out(found.transpose(1, 2).reshape(asking.shape))
        return joined

    def _split(self, x: Tensor) -> Tensor:
        """``[B, T, size]`` → ``[B, heads, T, size / heads]``."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    def __init__(self, size: int, units: int, *, linear: Linear = nn.Linear) -> None:
        super().__init__()
        self.w_1 = linear(size, units, True)
        self.w_2 = linear(units, size, True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.w_2(F.relu(self.w_1(x)))
        return out


class TransformerBlock(nn.Module):
    def __init__(
        self,
        size: int,
        attention_heads: int,
        linear_units: int,
        *,
        linear: Linear = nn.Linear,
        layer_norm_eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.self_attn = SelfAttention(size, attention_heads, linear=linear)
        self.feed_forward = FeedForward(size, linear_units, linear=linear)
        self.norm1 = nn.LayerNorm(size, eps=layer_norm_eps)
        self.norm2 = nn.LayerNorm(size, eps=layer_norm_eps)

    def forward(self, x: Tensor, mask: Tensor | None, rows: int | None = None) -> Tensor:
        """``x [B, T, size]`` → ``[B, rows, size]``: all frames are heard, ``rows`` come back."""
        x = x[:, :rows] + self.self_attn(self.norm1(x), mask, rows)
        out: Tensor = x + self.feed_forward(self.norm2(x))
        return out
