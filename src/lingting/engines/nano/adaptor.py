"""From the encoder's frames to rows that the language model reads; the CTC decoder is one too.

Two linear layers change the width, blocks of full attention follow. The decoder reads only the
first eighth of the rows (each has heard the whole clip by then), so the last block need not
compute the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from lingting.engines.neural.transformer import Linear, TransformerBlock, padding_mask


@dataclass(frozen=True, slots=True)
class AdaptorConfig:
    """Sizes of Fun-ASR-Nano's; its CTC decoder is ``(512, 2048, 512, 8, 128, num_blocks=5)``."""

    input_size: int = 512
    projector_size: int = 2048
    output_size: int = 1024
    attention_heads: int = 8
    linear_units: int = 256
    """Inside the blocks; a quarter of ``output_size`` in every published model."""
    num_blocks: int = 2
    layer_norm_eps: float = 1e-12


class Adaptor(nn.Module):
    """Submodules are named as in the published checkpoint below ``audio_adaptor``."""

    def __init__(self, config: AdaptorConfig, linear: Linear = nn.Linear) -> None:
        super().__init__()
        self.linear1 = linear(config.input_size, config.projector_size, True)
        self.linear2 = linear(config.projector_size, config.output_size, True)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                config.output_size,
                config.attention_heads,
                config.linear_units,
                linear=linear,
                layer_norm_eps=config.layer_norm_eps,
            )
            for _ in range(config.num_blocks)
        )

    def forward(self, encoded: Tensor, lengths: Tensor, rows: int | None = None) -> Tensor:
        """``encoded [B, T, input]``, ``lengths [B]`` in frames → ``[B, T or rows, output]``.

        What lies behind a clip's length is neither heard nor meant to be read.
        """
        x: Tensor = self.linear2(F.relu(self.linear1(encoded)))
        mask = padding_mask(lengths, x.shape[1])
        for block in self.blocks[:-1]:
            x = block(x, mask)
        for block in self.blocks[-1:]:
            x = block(x, mask, rows)
        return x[:, :rows]
