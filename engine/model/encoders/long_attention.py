"""Self-attention over long sources: a window of tokens, and sums of blocks (LongT5).

Local and transient-global attention of Guo et al. 2022, arXiv:2112.07916, sections 3.2.1 and 3.2.2.

Shapes: B rows, S source positions, G global positions, D = `width`, H heads, K = `head_width`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.model.config import ModelConfig
from engine.model.layers import Attention, make_norm
from engine.model.positions import RelativeBias

_TOGETHER = 128
"""Queries whose scores are in memory at once."""

_MASKED = torch.finfo(torch.float32).min
"""What hides a position; not -inf, since padding may see nothing but padding."""


@dataclass(frozen=True)
class LongMask:
    """What the layers of an encoder need to know of its sources, `real [B,S]` which tokens are."""

    real: Tensor
    bias: RelativeBias
    global_bias: RelativeBias | None


def count_globals(length: Tensor, block: int) -> Tensor:
    """How many global positions sources of these lengths have: one for each full block."""
    return length // block


def global_sums(x: Tensor, real: Tensor, block: int) -> Tensor:
    """The sums `[B,G,D]` of each `block` tokens of `x [B,S,D]`, G at least 1.

    Tokens behind the last full block belong to it, so that a row's sums are functions of the row
    alone; behind its full blocks, `real.sum(1) // block`, a row has zeros.
    """
    rows, length, width = x.shape
    slots = -(-length // block)
    tokens = (x * real.unsqueeze(2)).float()
    parts = F.pad(tokens, (0, 0, 0, (slots + 1) * block - length))
    parts = parts.view(rows, slots + 1, block, width).sum(2)
    place = torch.arange(slots, device=x.device)
    full = count_globals(real.sum(1, keepdim=True), block)
    sums = parts[:, :-1] + parts[:, 1:] * (place == full - 1).unsqueeze(2)
    return (sums * (place < full).unsqueeze(2)).to(x.dtype)


class LongAttention(Attention):
    """Attention of each token to those around it and, with globals, to the sums of blocks.

    It is made for groups of queries one behind the other: no array is `[S,S]`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.encoder_block)
        self.radius, self.block = config.local_radius, config.global_block
        self.global_norm = make_norm(config.encoder_block) if config.has_globals else None

    def forward(self, x: Tensor, memory: Tensor, mask: LongMask) -> Tensor:  # type: ignore[override]
        """Attends from `x [B,S,D]` to itself; `memory` is `x`."""
        query = self._split(self.query(x)) * self.scale
        key, value = self._split(self.key(memory)), self._split(self.value(memory))
        sums = None
        if self.global_norm is not None:
            sums = self.global_norm(global_sums(memory, mask.real, self.block))
            sums = self._split(self.key(sums)), self._split(self.value(sums))
        length = x.shape[1]
        context = []
        for first in range(0, length, _TOGETHER):
            at = torch.arange(first, min(first + _TOGETHER, length), device=x.device)
            low = max(0, first - self.radius)
            window = torch.arange(low, min(length, int(at[-1]) + self.radius + 1), device=x.device)
            keys, values = key[:, :, window], value[:, :, window]
            bias = self._window_bias(mask, at, window)
            if sums is not None:
                keys = torch.cat([keys, sums[0]], dim=2)
                values = torch.cat([values, sums[1]], dim=2)
                beside = self._global_bias(mask, at, sums[0].shape[2])
                bias = torch.cat([bias.expand(len(beside), -1, -1, -1), beside], dim=3)
            scores = (query[:, :, at] @ keys.transpose(2, 3)).float() + bias
            weights = torch.softmax(scores, dim=-1)
            context.append(weights.to(values.dtype) @ values)
        joined = torch.cat(context, dim=2).transpose(1, 2).flatten(2)
        return self.output(joined)  # type: ignore[no-any-return]

    def _window_bias(self, mask: LongMask, at: Tensor, window: Tensor) -> Tensor:
        """`[B,H,queries,keys]`: how positions `at` attend to those of the `window`."""
        distance = window[None] - at[:, None]
        bias = mask.bias.by_distance(distance).permute(2, 0, 1)[None]
        seen = (distance.abs() <= self.radius)[None] & mask.real[:, None, window]
        return bias.masked_fill(~seen[:, None], _MASKED)

    def _global_bias(self, mask: LongMask, at: Tensor, count: int) -> Tensor:
        """`[B,H,queries,G]`: how positions `at` attend to the sums, by the block that has them."""
        assert mask.global_bias is not None
        full = count_globals(mask.real.sum(1), self.block)[:, None]
        own = torch.minimum((at // self.block)[None], full - 1)
        place = torch.arange(count, device=at.device)
        bias = mask.global_bias.by_distance(place - own.unsqueeze(2)).permute(0, 3, 1, 2)
        return bias.masked_fill((place >= full)[:, None, None], _MASKED)
