"""Keys and values of the clips being decoded: one slot per clip, the same in every layer.

Slots hold one clip's attention memory and nothing is shared between clips, so nothing can leak
from one to the next: what an earlier clip left behind lies past the length that its successor
reads, and is overwritten before the length gets there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class SlotCache:
    """``keys`` and ``values`` ``[layers, slots, key heads, capacity, head width]``."""

    def __init__(
        self,
        *,
        layers: int,
        slots: int,
        heads: int,
        capacity: int,
        width: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.slots = slots
        self.capacity = capacity
        shape = (layers, slots, heads, capacity, width)
        # Masked places are multiplied with zero, so they must hold numbers: zeros, not rubbish.
        self.keys = _zeros(shape, dtype, device)
        self.values = _zeros(shape, dtype, device)

    @property
    def size_bytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes

    def write(self, layer: int, slots: Tensor, positions: Tensor, k: Tensor, v: Tensor) -> None:
        """``k``, ``v`` ``[N, heads, width]`` of N tokens into their slots and positions ``[N]``."""
        self.keys[layer][slots, :, positions] = k.to(self.keys.dtype)
        self.values[layer][slots, :, positions] = v.to(self.values.dtype)

    def move(self, source: int, target: int, length: int) -> None:
        """The first ``length`` positions of one slot into another."""
        for held in (self.keys, self.values):
            held[:, target, :, :length] = held[:, source, :, :length]


def token_bytes(*, layers: int, heads: int, width: int, dtype: torch.dtype) -> int:
    """Memory of one token of one clip."""
    return 2 * layers * heads * width * dtype.itemsize


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    # NumPy asks for pages that are zero by themselves and take no memory before they are used.
    bits = np.zeros(shape, {2: np.int16, 4: np.int32}[dtype.itemsize])
    return torch.from_numpy(bits).view(dtype)
