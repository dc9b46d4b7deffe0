"""The SAN-M encoder that SenseVoice and Fun-ASR-Nano share.

Self-attention with a memory: beside the attention over all frames, a filter of eleven taps runs
over each channel of the values (FSMN). Gao et al., "SAN-M: Memory Equipped Self-Attention for
End-to-End Speech Recognition", Interspeech 2020. Submodules are named as in the published
checkpoints.

::

    features ─ ×√512 + positions ─ encoders0 ─ encoders ─ norm ─ tp_encoders ─ norm ─► frames
                                   560 → 512     49               20

On a CPU the frames of all clips lie one below the other with no padding between them, and each
clip attends by itself: nothing is computed that is thrown away. On other devices the batch is
padded and masked, because there many small kernels cost more than the padding. In neither can one
clip hear another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lingting.engines.neural.lowbit import Int8Linear
from lingting.engines.neural.transformer import Linear, padding_mask

_LAYER_NORM_EPS = 1e-5
_CHUNK_ROWS = (
    256  # in the feed-forward layers: what lies between the two of them stays in the cache
)


@dataclass(frozen=True, slots=True)
class SanmConfig:
    """Sizes; the defaults are those of SenseVoiceSmall and Fun-ASR-Nano."""

    input_size: int = 560
    output_size: int = 512
    attention_heads: int = 4
    linear_units: int = 2048
    num_blocks: int = 50
    """The first of them changes the width and has no residual path."""
    tp_blocks: int = 20
    kernel_size: int = 11
    sanm_shift: int = 0
    """Taps by which the filter looks further back than ahead."""


class _Layout(Protocol):
    """How the frames of a batch lie in memory; ``[…]`` is ``[N]`` or ``[B, T]``."""

    def attend(self, qkv: Tensor, heads: int) -> Tensor:
        """``[…, 3 D]`` → ``[…, D]``: each clip's frames over all frames of the clip."""
        ...

    def remember(self, values: Tensor, taps: Tensor, before: int) -> Tensor:
        """``[…, D]`` and itself filtered along time, ``taps [D, 1, k]``, ``before`` of them back.

        Outside a clip is silence.
        """
        ...

    def row_chunks(self, x: Tensor) -> Sequence[Tensor]:
        """Views of the rows, as many at a time as the processor likes best."""
        ...


class _Packed:
    """Frames of all clips one below the other, ``[N, D]``, nothing between them."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = list(lengths)

    def attend(self, qkv: Tensor, heads: int) -> Tensor:
        found = [
            _attention(clip[None], heads, None)[0] for clip in qkv.split_with_sizes(self._lengths)
        ]
        return found[0] if len(found) == 1 else torch.cat(found)

    def remember(self, values: Tensor, taps: Tensor, before: int) -> Tensor:
        """Tap by tap over all clips at once, with silence between them.

        Three times as fast as the library's depthwise convolutions on frames that lie like this.
        """
        after = taps.shape[2] - 1 - before
        gap = max(before, after)
        clips = values.split_with_sizes(self._lengths)
        pieces = [values.new_zeros(before, values.shape[1])]
        for clip in clips:
            pieces += [clip, values.new_zeros(gap, values.shape[1])]
        spaced = torch.cat(pieces).to(torch.float32)
        count = len(values) + gap * (len(clips) - 1)
        weights = taps[:, 0].to(torch.float32).t().contiguous()
        weights[before] += 1.0  # the frame itself is added to what the filter gives
        out = spaced[before : before + count] * weights[before]
        for tap, weight in enumerate(weights):
            if tap != before:
                out.addcmul_(spaced[tap : tap + count], weight)
        if len(clips) > 1:
            sizes = [len(clip) + gap for clip in clips]
            sizes[-1] -= gap
            parts = out.split_with_sizes(sizes)
            out = torch.cat([part[: len(clip)] for part, clip in zip(parts, clips, strict=True)])
        return out.to(values.dtype)

    def row_chunks(self, x: Tensor) -> Sequence[Tensor]:
        return x.split_with_sizes(_even_parts(len(x), _CHUNK_ROWS))


class _Padded:
    """``[B, T, D]`` with a mask for what lies behind each clip's end."""

    def __init__(self, lengths: Tensor, frames: int) -> None:
        self._mask = padding_mask(lengths, frames)

    def attend(self, qkv: Tensor, heads: int) -> Tensor:
        return _attention(qkv, heads, self._mask)

    def remember(self, values: Tensor, taps: Tensor, before: int) -> Tensor:
        if self._mask is not None:
            values = values * self._mask[:, 0, 0, :, None]
        after = taps.shape[2] - 1 - before
        padded = F.pad(values.transpose(1, 2), (before, after))
        return F.conv1d(padded, taps, groups=len(taps)).transpose(1, 2) + values

    def row_chunks(self, x: Tensor) -> Sequence[Tensor]:
        return (x,)


def _attention(qkv: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """``[B, T, 3 D]`` → ``[B, T, D]``."""
    batch, frames, width = qkv.shape
    q, k, v = qkv.view(batch, frames, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return found.transpose(1, 2).reshape(batch, frames, -1)


def _even_parts(count: int, most: int) -> list[int]:
    """``count`` in as few parts as ``most`` allows, all of nearly the same size."""
    parts = max(1, -(-count // most))
    small, more = divmod(count, parts)
    return [small + (part < more) for part in range(parts)]


class _Attention(nn.Module):
    def __init__(self, config: SanmConfig, input_size: int, linear: Linear) -> None:
        super().__init__()
        size = config.output_size
        self.heads = config.attention_heads
        self.before = (config.kernel_size - 1) // 2 + max(0, config.sanm_shift)
        self.linear_q_k_v = linear(input_size, 3 * size, True)
        self.linear_out = linear(size, size, True)
        self.fsmn_block = nn.Conv1d(size, size, config.kernel_size, groups=size, bias=False)

    def forward(self, x: Tensor, layout: _Layout) -> Tensor:
        qkv = self.linear_q_k_v(x)
        values = qkv[..., qkv.shape[-1] // 3 * 2 :]
        memory = layout.remember(values, self.fsmn_block.weight, self.before)
        found: Tensor = self.linear_out(layout.attend(qkv, self.heads))
        return found.add_(memory)


class _FeedForward(nn.Module):
    def __init__(self, size: int, units: int, linear: Linear) -> None:
        super().__init__()
        self.w_1 = linear(size, units, True)
        self.w_2 = linear(units, size, True)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.w_1(x), inplace=True)
        out: Tensor = (
            self.w_2.after_relu(hidden) if isinstance(self.w_2, Int8Linear) else self.w_2(hidden)
        )
        return out


class _Block(nn.Module):
    def __init__(self, config: SanmConfig, input_size: int, linear: Linear) -> None:
        super().__init__()
        size = config.output_size
        self.self_attn = _Attention(config, input_size, linear)
        self.feed_forward = _FeedForward(size, config.linear_units, linear)
        self.norm1 = nn.LayerNorm(input_size, eps=_LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(size, eps=_LAYER_NORM_EPS)
        self.has_residual = input_size == size

    def forward(self, x: Tensor, layout: _Layout) -> Tensor:
        heard: Tensor = self.self_attn(self.norm1(x), layout)
        if self.has_residual:
            heard.add_(x)
        for rows in layout.row_chunks(heard):
            rows.add_(self.feed_forward(self.norm2(rows)))
        return heard


class SanmEncoder(nn.Module):
    """``SenseVoiceEncoderSmall`` of FunASR, for inference."""

    def __init__(self, config: SanmConfig, linear: Linear = nn.Linear) -> None:
        super().__init__()
        self.config = config
        size = config.output_size

        def blocks(count: int, input_size: int = size) -> nn.ModuleList:
            return nn.ModuleList(_Block(config, input_size, linear) for _ in range(count))

        self.encoders0 = blocks(1, config.input_size)
        self.encoders = blocks(config.num_blocks - 1)
        self.after_norm = nn.LayerNorm(size, eps=_LAYER_NORM_EPS)
        self.tp_encoders = blocks(config.tp_blocks)
        self.tp_norm = nn.LayerNorm(size, eps=_LAYER_NORM_EPS)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """``features [B, T, input]`` float32, ``lengths [B]`` int64 → ``[B, T, output]``.

        What lies behind a clip's length is never heard; what comes out there means nothing.
        """
        if features.device.type != "cpu":
            placed = self._placed(features)
            return self._run(placed, _Padded(lengths, features.shape[1]))
        counts = [int(count) for count in lengths]
        packed = torch.cat([clip[:count] for clip, count in zip(features, counts, strict=True)])
        frames = self.forward_packed(packed, counts)
        out = frames.new_zeros(*features.shape[:2], frames.shape[1])
        for row, clip in enumerate(frames.split_with_sizes(counts)):
            out[row, : len(clip)] = clip
        return out

    def forward_packed(self, features: Tensor, lengths: Sequence[int]) -> Tensor:
        """The same with the clips one below the other: ``[N, input]`` → ``[N, output]``."""
        placed = torch.cat(
            [self._placed(clip[None])[0] for clip in features.split_with_sizes(list(lengths))]
        )
        return self._run(placed, _Packed(lengths))

    def _run(self, x: Tensor, layout: _Layout) -> Tensor:
        for block in self.encoders0:
            x = block(x, layout)
        for block in self.encoders:
            x = block(x, layout)
        x = self.after_norm(x)
        for block in self.tp_encoders:
            x = block(x, layout)
        out: Tensor = self.tp_norm(x)
        return out

    def _placed(self, features: Tensor) -> Tensor:
        """Scaled, with positions added, in the numbers of the model."""
        scaled = features * math.sqrt(self.config.output_size)
        scaled += _positions(features.shape[1], features.shape[2], features.device)
        return scaled.to(self.after_norm.weight.dtype)


def _positions(frames: int, width: int, device: torch.device) -> Tensor:
    """Sines in the first half, cosines in the second, from position 1 on: ``[frames, width]``."""
    half = width // 2
    step = math.log(10_000.0) / (half - 1)
    rates = torch.exp(torch.arange(half, device=device, dtype=torch.float32) * -step)
    angles = torch.arange(1, frames + 1, device=device, dtype=torch.float32)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
