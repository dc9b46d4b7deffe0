"""The four networks of Fun-ASR-Nano on one device, filled from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lingting.engines.nano.adaptor import Adaptor
from lingting.engines.nano.ctc import CtcBranch
from lingting.engines.nano.decoder import Qwen3
from lingting.engines.nano.layout import Checkpoint
from lingting.engines.neural.devices import Compute
from lingting.engines.neural.filling import fill
from lingting.engines.neural.frontend import pad
from lingting.engines.neural.linear import linear_for
from lingting.engines.neural.lowbit import Int8Embedding
from lingting.engines.neural.sanm import SanmEncoder

_NOT_CTC = ("audio_encoder.", "audio_adaptor.", "llm.")


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One clip behind the encoder."""

    rows: torch.Tensor
    """What the language model reads ``[n, hidden]``."""
    branch: torch.Tensor | None = None
    """What the CTC branch's class layer reads ``[T, width]``, where it was asked for."""

    def on(self, device: torch.device, dtype: torch.dtype) -> Encoded:
        """The same where the decoder is, in its numbers; a clip may have been encoded elsewhere."""
        branch = None if self.branch is None else self.branch.to(device, dtype)
        return Encoded(self.rows.to(device, dtype), branch)


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """Everything with weights; used by one caller at a time."""

    device: torch.device
    compute: Compute
    encoder: SanmEncoder
    adaptor: Adaptor
    decoder: Qwen3
    ctc: CtcBranch | None

    def encode(
        self,
        features: Sequence[NDArray[np.float32]],
        kept: Sequence[int],
        wants_branch: Sequence[bool],
    ) -> list[Encoded]:
        """``[T_i, 560]`` each → its first ``kept[i]`` adaptor rows, and the CTC branch's."""
        batch, lengths = pad(features)
        batch, lengths = batch.to(self.device), lengths.to(self.device)
        encoded = self.encoder(batch, lengths)
        rows = self.adaptor(encoded, lengths, max(kept))
        found = [Encoded(clip[:count].clone()) for clip, count in zip(rows, kept, strict=True)]
        asked = [at for at, wanted in enumerate(wants_branch) if wanted]
        if self.ctc is not None and asked:
            heard = self.ctc(encoded[asked], lengths[asked])
            for clip, at in zip(heard, asked, strict=True):
                found[at] = Encoded(found[at].rows, clip[: len(features[at])].clone())
        return found


def load_networks(checkpoint: Checkpoint, device: torch.device, compute: Compute) -> Networks:
    """Read a checkpoint's tensors one by one into the modules they belong to.

    Raises WeightsInvalid naming the file and the tensor that is missing, left over or mis-shaped.
    """
    config, tensors = checkpoint.config, checkpoint.tensors
    linear = linear_for(compute, device)
    embedding: Any = Int8Embedding if compute.int8 else nn.Embedding
    with torch.device("meta"):
        encoder = SanmEncoder(config.encoder, linear)
        adaptor = Adaptor(config.adaptor, linear)
        decoder = Qwen3(config.decoder, linear, embedding)
        ctc = None
        if config.ctc is not None:
            branch = Adaptor(config.ctc.decoder, linear)
            width = config.ctc.decoder.output_size
            ctc = CtcBranch(
                branch, width, config.ctc.classes, blank=config.ctc.blank, linear=linear
            )
    fill(encoder, tensors, prefix="audio_encoder.", device=device, dtype=compute.dtype)
    fill(adaptor, tensors, prefix="audio_adaptor.", device=device, dtype=compute.dtype)
    llm = tensors.under("llm.")
    fill(decoder, llm.renamed(decoder.sources(llm.names())), device=device, dtype=compute.dtype)
    if ctc is not None:
        fill(ctc, tensors, device=device, dtype=compute.dtype, ignore=_NOT_CTC)
    return Networks(device, compute, encoder, adaptor, decoder, ctc)
