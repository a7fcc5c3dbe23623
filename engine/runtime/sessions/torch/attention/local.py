"""Attention to what lies near by, and to sums of the rest: memory grows with a source, no faster.

Guo et al. 2022, arXiv:2112.07916 (LongT5).  B sources, C positions of a part, D the model's width,
E keys, G sums, H heads, K a head's width, Q queries of a block, W keys that these see.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.runtime.sessions.torch.attention.distances import bias_line, diagonals, query_blocks
from engine.runtime.sessions.torch.attention.global_tokens import GlobalTokens
from engine.runtime.sessions.torch.attention.heads import LayerHeads, attend_masked
from engine.runtime.sessions.torch.attention.spans import SourceSpans
from engine.runtime.sessions.torch.model import TorchReach

_RADII = {"cpu": 1, "cuda": 8}
"""Queries of a block, in radii: launches cost a GPU more than keys that few queries see."""


@dataclass(frozen=True)
class LocalAttention:
    """Self-attention of the `spans` of sources, see `Attention`.

    `relative [H,2 furthest + 1]` is the bias of each distance.  So many keys as `margin` stand
    before that of the first query.
    """

    reach: TorchReach
    relative: Tensor
    spans: SourceSpans
    margin: int = 0

    def __call__(self, heads: LayerHeads, x: Tensor) -> Tensor:
        """See `Attention`: `[B,H,C,K]` of `x [B*C,D]`."""
        query, *near = heads(x)
        key, value = self.near(*near)
        tokens = self._global_tokens()
        sums = None if tokens is None else self._global_heads(tokens, heads, x)
        contexts = []
        for block in self._query_blocks(query):
            window = self._window(block, key.shape[2])
            keys, values, bias = key[:, :, window], value[:, :, window], self._bias(block, window)
            if tokens is not None and sums is not None:
                keys, values = torch.cat((keys, sums[0]), 2), torch.cat((values, sums[1]), 2)
                bias = torch.cat((bias, tokens.bias(self.spans.places(block))), -1)
            contexts.append(attend_masked(query[:, :, block], keys, values, bias))
        return torch.cat(contexts, dim=2)

    def near(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values `[B,H,E,K]` of what a span's positions, `[B,H,C,K]`, may attend to."""
        return key, value

    def whole(self, sums: Tensor) -> Tensor:
        """The sums `[B,G,D]` of all of the sources' positions, of those of the spans."""
        return sums

    def _global_tokens(self) -> GlobalTokens | None:
        blocks, longest = self.reach.blocks, self.spans.longest
        if blocks is None or longest < blocks.size:
            return None
        return GlobalTokens(blocks, self.spans, longest // blocks.size)

    def _global_heads(
        self, tokens: GlobalTokens, heads: LayerHeads, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Keys and values `[B,H,G,K]` of the sums."""
        norm = heads.sublayer.global_norm
        assert norm is not None, "a layer that attends to sums has their norm"
        _, key, value = heads(norm(self.whole(tokens.sums(x)).flatten(0, 1)))
        return key, value

    def _query_blocks(self, query: Tensor) -> list[slice]:
        return query_blocks(query.shape[2], _RADII[query.device.type] * (self.reach.radius + 1))

    def _window(self, block: slice, keys: int) -> slice:
        """Which of the keys some queries see."""
        first = block.start + self.margin - self.reach.radius
        last = block.stop + self.margin + self.reach.radius
        return slice(max(0, first), min(last, keys))

    def _bias(self, block: slice, window: slice) -> Tensor:
        """What is added to scores of a block of queries with a window of keys: `[B,H,Q,W]`."""
        queries, keys = block.stop - block.start, window.stop - window.start
        own = slice(window.start - self.margin, window.stop - self.margin)
        distances = torch.arange(queries + keys - 1, device=self.relative.device)
        distances += own.start - (block.stop - 1)
        biases = bias_line(self.relative, distances)
        biases = biases.masked_fill_(distances.abs() > self.reach.radius, -torch.inf)
        outside = self.spans.outside(self.spans.places(own))
        # A query behind a source's end sees itself: its context is not used, but has to be finite.
        hidden = outside[:, None] & (diagonals(distances, keys) != 0)
        return diagonals(biases, keys).masked_fill(hidden[:, None], -torch.inf)
