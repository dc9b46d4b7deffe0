"""SenseVoiceSmall's network and how it is filled from a model folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lingting.engines.neural.checkpoints import open_tensors
from lingting.engines.neural.devices import Compute
from lingting.engines.neural.documents import read_document
from lingting.engines.neural.filling import fill
from lingting.engines.neural.frontend import FEATURE_SIZE
from lingting.engines.neural.linear import linear_for
from lingting.engines.neural.sanm import SanmConfig, SanmEncoder
from lingting.engines.neural.tensors import invalid
from lingting.engines.neural.transformer import Linear
from lingting.engines.sensevoice.labels import QUERIES

_SIZES = {  # the names of config.yaml, and ours
    "output_size": "output_size",
    "attention_heads": "attention_heads",
    "linear_units": "linear_units",
    "num_blocks": "num_blocks",
    "tp_blocks": "tp_blocks",
    "kernel_size": "kernel_size",
    "sanm_shfit": "sanm_shift",
}
_MOST = 1 << 16


class _Ctc(nn.Module):
    def __init__(self, size: int, classes: int, linear: Linear) -> None:
        super().__init__()
        self.ctc_lo = linear(size, classes, True)


class SenseVoiceNetwork(nn.Module):
    """Submodules are named as in the published checkpoint."""

    def __init__(self, config: SanmConfig, classes: int, linear: Linear = nn.Linear) -> None:
        super().__init__()
        self.encoder = SanmEncoder(config, linear)
        self.ctc = _Ctc(config.output_size, classes, linear)
        self.embed = nn.Embedding(QUERIES, config.input_size)

    def forward(self, features: Tensor, lengths: Sequence[int], queries: Tensor) -> Tensor:
        """Clips one below the other ``[N, 560]``, ``queries [B, q]`` → ``[N + B q, classes]``.

        The answers to a clip's queries stand in front of its frames.
        """
        asked = self.embed(queries).to(features.dtype)
        clips = features.split_with_sizes(list(lengths))
        is_cpu = features.device.type == "cpu"
        frames = self._packed(asked, clips) if is_cpu else self._padded(asked, clips)
        logits: Tensor = self.ctc.ctc_lo(frames)
        return logits

    def _packed(self, asked: Tensor, clips: Sequence[Tensor]) -> Tensor:
        rows = [asked.shape[1] + len(clip) for clip in clips]
        pairs = zip(asked, clips, strict=True)
        return self.encoder.forward_packed(
            torch.cat([part for pair in pairs for part in pair]), rows
        )

    def _padded(self, asked: Tensor, clips: Sequence[Tensor]) -> Tensor:
        count = asked.shape[1]
        sizes = torch.tensor([count + len(clip) for clip in clips], device=asked.device)
        longest = count + max(len(clip) for clip in clips)
        padded = asked.new_zeros(len(clips), longest, asked.shape[2])
        padded[:, :count] = asked
        for row, clip in zip(padded, clips, strict=True):
            row[count : count + len(clip)] = clip
        is_real = torch.arange(longest, device=asked.device) < sizes[:, None]
        frames: Tensor = self.encoder(padded, sizes)
        return frames[is_real]


def load_network(
    folder: Path, classes: int, device: torch.device, compute: Compute
) -> SenseVoiceNetwork:
    """The network of a folder with config.yaml and its weights, filled tensor by tensor.

    Raises WeightsInvalid naming the file and the tensor that is missing, left over or mis-shaped.
    """
    config = parse_sizes(folder / "config.yaml")
    with torch.device("meta"):
        network = SenseVoiceNetwork(config, classes, linear_for(compute, device))
    fill(network, open_tensors(folder), device=device, dtype=compute.dtype)
    return network


def parse_sizes(path: Path) -> SanmConfig:
    """The encoder's sizes in ``config.yaml``. Raises WeightsInvalid."""
    document = read_document(path)
    if document.get("model") != "SenseVoiceSmall":
        raise invalid(path, "it describes no SenseVoiceSmall")
    encoder = _section(path, document, "encoder_conf")
    frontend = _section(path, document, "frontend_conf")
    for name, only in (("fs", 16_000), ("n_mels", 80), ("lfr_m", 7), ("lfr_n", 6)):
        if frontend.get(name, only) != only:
            raise invalid(path, f"frontend_conf.{name} is not {only}, the only one we can run")
    sizes = {}
    for name, own in _SIZES.items():
        if name in encoder:
            value = encoder[name]
            if type(value) is not int or not 0 <= value <= _MOST:
                raise invalid(path, f"encoder_conf.{name} is no size")
            sizes[own] = value
    config = SanmConfig(input_size=FEATURE_SIZE, **sizes)
    if 0 in (config.output_size, config.attention_heads, config.num_blocks, config.kernel_size):
        raise invalid(path, "a size in encoder_conf is 0")
    if config.output_size % config.attention_heads:
        raise invalid(path, "the heads in encoder_conf do not divide its width")
    return config


def _section(path: Path, document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = document.get(name)
    if not isinstance(section, dict):
        raise invalid(path, f"{name} is missing")
    return section
