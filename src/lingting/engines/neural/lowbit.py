"""8-bit weights for the CPU: linear layers and embeddings a quarter of their size.

Weights are int8 with one scale per output channel. The activations of a linear layer become int8
too, with one scale per row, so that what a row gives does not depend on the rows beside it.
PyTorch's own dynamic quantisation takes one scale for the whole batch, and there a clip's text
changes with its batch mates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_LEVELS = 127
_MIDDLE = 128  # zero, where int8 activations are kept as uint8


class Int8Linear(nn.Module):
    """``x [..., in] → [..., out]`` in float32; stands in for ``nn.Linear``."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.has_bias = bias
        self._packed: Any = None
        self._bias: Tensor | None = None

    def wanted(self) -> Mapping[str, tuple[int, ...]]:
        """Tensors that :meth:`take` must be given."""
        weight = {"weight": (self.out_features, self.in_features)}
        return {**weight, "bias": (self.out_features,)} if self.has_bias else weight

    def take(self, name: str, tensor: Tensor) -> None:
        """Keep ``weight`` as int8, ``bias`` as float32."""
        if name == "bias":
            self._bias = tensor.to(torch.float32)
            return
        rows, scales = quantised_rows(tensor)
        weight = torch._make_per_channel_quantized_tensor(
            rows, scales.double(), torch.zeros(len(rows), dtype=torch.int64), 0
        )
        self._packed = torch.ops.quantized.linear_prepack(weight, None)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.in_features).to(torch.float32)
        peaks = torch.linalg.vector_norm(rows, ord=torch.inf, dim=1, keepdim=True)
        peaks.clamp_(min=torch.finfo(torch.float32).tiny)
        out = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            rows / peaks, 1 / _LEVELS, _MIDDLE, self._packed
        )
        out = out.mul_(peaks) if self._bias is None else torch.addcmul(self._bias, out, peaks)
        return out.view(*x.shape[:-1], self.out_features)


class Int8Embedding(nn.Module):
    """Rows of int8 with one scale each; the tied output layer reads the same rows."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self._rows: Tensor | None = None
        self._scales: Tensor | None = None
        self._head: Int8Linear | None = None

    def wanted(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (self.num_embeddings, self.embedding_dim)}

    def take(self, name: str, tensor: Tensor) -> None:
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """``ids [...]`` int64 → ``[..., hidden]`` float32."""
        raise NotImplementedError

    def logits(self, x: Tensor) -> Tensor:
        """``[n, hidden]`` → ``[n, vocabulary]`` float32: the tied output layer."""
        raise NotImplementedError


def quantised_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 ``[rows, columns]`` and float32 ``[rows]`` with ``weight ≈ int8 * scale``."""
    weight = weight.to(torch.float32)
    scales = weight.abs().amax(dim=1).clamp_(min=torch.finfo(torch.float32).tiny) / _LEVELS
    return (weight / scales[:, None]).round_().to(torch.int8), scales
