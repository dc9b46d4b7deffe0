"""Which linear layer a model gets: 8-bit, rounded to few shapes, or PyTorch's own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lingting.engines.neural.devices import Compute
from lingting.engines.neural.lowbit import Int8Linear, shape_rows
from lingting.engines.neural.transformer import Linear


class RoundedLinear(nn.Linear):
    """``nn.Linear`` that meets few different numbers of rows; the others are zeros for a moment.

    In bfloat16 on a CPU each new number of rows is compiled, 0.6 MB that stay: a clip of every
    length up to 30 s would leave a gigabyte behind. float32 has no such cache.
    """

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.in_features)
        count = len(rows)
        extra = shape_rows(count) - count
        if not extra:
            return super().forward(x)
        found = super().forward(F.pad(rows, (0, 0, 0, extra)))[:count]
        return found.view(*x.shape[:-1], self.out_features)


def linear_for(compute: Compute, device: torch.device) -> Linear:
    """The maker of a model's linear layers."""
    if compute.int8:
        return Int8Linear
    is_compiled = device.type == "cpu" and compute.dtype == torch.bfloat16
    return RoundedLinear if is_compiled else nn.Linear
