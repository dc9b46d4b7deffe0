"""8-bit weights for the CPU: linear layers and embeddings a quarter of their size.

Weights are int8 with one scale per output channel. The activations of a linear layer become int8
too, with one scale per row, and the products are added up in whole numbers: a row gives the same
bits alone and in any batch. PyTorch's own dynamic quantisation takes one scale for the whole
batch, and there a clip's text changes with its batch mates.

Only operators on plain tensors are used; PyTorch's quantised tensor types are going away.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEAST_PEAK = 1e-30  # rows of zeros get a scale too, whose inverse is still a number
_BYTE_LEVELS = 127  # steps of an int8 on either side of zero
_TAKE_ROWS = 8_192  # quantised at a time, so that taking a big tensor needs little beside it


class Int8Linear(nn.Module):
    """``x [..., in] → [..., out]`` in float32; stands in for ``nn.Linear`` on the CPU."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.has_bias = bias
        self._weight: Tensor | None = None
        self._scales: Tensor | None = None
        self._zeros: Tensor | None = None
        self._bias: Tensor | None = None

    def wanted(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes of the tensors that :meth:`take` must be given."""
        weight = {"weight": (self.out_features, self.in_features)}
        return {**weight, "bias": (self.out_features,)} if self.has_bias else weight

    def take(self, name: str, tensor: Tensor) -> None:
        """Keep ``weight`` as int8 and ``bias`` as float32."""
        if name == "bias":
            self._bias = tensor.to(torch.float32)
            return
        rows, self._scales = quantised_rows(tensor)
        self._zeros = torch.zeros(len(rows), dtype=torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(rows, None) if _has_onednn() else rows

    def forward(self, x: Tensor) -> Tensor:
        q, scales = quantised_activations(x.reshape(-1, self.in_features))
        if not _has_onednn():
            weight, own_scales = self._taken()
            out: Tensor = torch._int_mm(q, weight.t()).to(torch.float32).mul_(own_scales)
            return self._finished(out, scales, x.shape)
        middle = _levels() + 1  # what zero becomes: these kernels want uint8
        return self._finished(
            self._product(q.view(torch.uint8).add_(middle), middle), scales, x.shape
        )

    def after_relu(self, x: Tensor) -> Tensor:
        """The same for ``x >= 0`` that nobody needs any more: all 256 steps are above zero."""
        if not _has_onednn():
            same: Tensor = self(x)
            return same
        rows = x.view(-1, self.in_features)
        most = 2 * _levels() + 1
        peaks = rows.amax(dim=1, keepdim=True).clamp_(min=_LEAST_PEAK)
        rows.mul_(most / peaks).round_()
        if most > _BYTE_LEVELS:  # to int8 and back by hand: the direct way is slow
            q = rows.sub_(_BYTE_LEVELS + 1).to(torch.int8).view(torch.uint8).add_(_BYTE_LEVELS + 1)
        else:
            q = rows.to(torch.uint8)
        return self._finished(self._product(q, 0), peaks.mul_(1 / most), x.shape)

    def _product(self, rows: Tensor, zero: int) -> Tensor:
        """uint8 ``[n, in]`` → float32 ``[n, out]``, still to be scaled row by row."""
        weight, scales = self._taken()
        count = len(rows)
        extra = shape_rows(count) - count
        if extra:
            rows = F.pad(rows, (0, 0, 0, extra))
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            rows,
            1.0,
            zero,
            weight,
            scales,
            self._zeros,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        return out[:count]

    def _finished(self, out: Tensor, scales: Tensor, shape: torch.Size) -> Tensor:
        out.mul_(scales)
        if self._bias is not None:
            out.add_(self._bias)
        return out.view(*shape[:-1], self.out_features)

    def _taken(self) -> tuple[Tensor, Tensor]:
        if self._weight is None or self._scales is None:
            raise RuntimeError("an Int8Linear was called before it was given its weight")
        return self._weight, self._scales


class Int8Embedding(nn.Module):
    """Rows of int8 with one scale each; the tied output layer reads the same rows."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self._rows: Tensor | None = None
        self._scales: Tensor | None = None

    def wanted(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes of the tensors that :meth:`take` must be given."""
        return {"weight": (self.num_embeddings, self.embedding_dim)}

    def take(self, name: str, tensor: Tensor) -> None:
        """Keep ``weight`` as int8."""
        assert name == "weight"
        self._rows, self._scales = quantised_rows(tensor)

    def forward(self, ids: Tensor) -> Tensor:
        """``ids [...]`` int64 → ``[..., hidden]`` float32."""
        rows, scales = self._taken()
        return rows[ids].to(torch.float32) * scales[ids][..., None]

    def logits(self, x: Tensor) -> Tensor:
        """``[n, hidden]`` → ``[n, vocabulary]`` float32: the tied output layer."""
        rows, own_scales = self._taken()
        q, scales = quantised_activations(x)
        return torch._int_mm(q, rows.t()).to(torch.float32).mul_(own_scales).mul_(scales)

    def _taken(self) -> tuple[Tensor, Tensor]:
        if self._rows is None or self._scales is None:
            raise RuntimeError("an Int8Embedding was called before it was given its weight")
        return self._rows, self._scales


def quantised_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 ``[rows, columns]`` and float32 ``[rows]`` with ``weight ≈ int8 * scale``."""
    rows = torch.empty(weight.shape, dtype=torch.int8)
    scales = torch.empty(len(weight), dtype=torch.float32)
    for first in range(0, len(weight), _TAKE_ROWS):
        part = weight[first : first + _TAKE_ROWS].to(torch.float32)
        peaks = part.abs().amax(dim=1).clamp_(min=_LEAST_PEAK)
        rows[first : first + _TAKE_ROWS] = (part * (_BYTE_LEVELS / peaks)[:, None]).round_()
        scales[first : first + _TAKE_ROWS] = peaks / _BYTE_LEVELS
    return rows, scales


def quantised_activations(x: Tensor) -> tuple[Tensor, Tensor]:
    """int8 ``[n, d]`` and float32 ``[n, 1]`` with ``x ≈ int8 * scale``; each row by itself."""
    x = x.to(torch.float32)
    levels = _levels()
    peaks = x.abs().amax(dim=1, keepdim=True).clamp_(min=_LEAST_PEAK)
    return (x * (levels / peaks)).round_().to(torch.int8), peaks.mul_(1 / levels)


def shape_rows(count: int) -> int:
    """So many rows or a few more, of which there are not many different ones.

    oneDNN compiles a kernel for each shape it meets and keeps a thousand of them, a third of a
    megabyte each: without this, hours of clips of all lengths would add hundreds of megabytes.
    """
    if count <= 16:
        return count
    step = max(16, 1 << (count.bit_length() - 5))
    return -(-count // step) * step


@cache
def _has_onednn() -> bool:
    """oneDNN's int8 layers are quick on x86; elsewhere they may be its reference code."""
    return platform.machine().lower() in ("x86_64", "amd64") and hasattr(
        torch.ops.onednn, "qlinear_pointwise"
    )


@cache
def _levels() -> int:
    """Steps on either side of zero.

    Processors without VNNI add pairs of products in 16 bits, which full-size bytes overflow: there
    activations get 6 bits and a sign, and sit in the lower half of a byte.
    """
    has_vnni = getattr(torch.cpu, "_is_vnni_supported", lambda: True)
    return 127 if has_vnni() else 63
