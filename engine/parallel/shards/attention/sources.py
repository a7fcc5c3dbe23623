"""Self-attention of sources to all of their positions, of which each rank has a part.

B sources, H heads, Q queries, S positions of a part, K a head's width.
"""

from dataclasses import dataclass
from itertools import product
from math import isqrt

import torch
from torch import Tensor

from engine.parallel.shards.attention.softmax import attend_part, merged
from engine.parallel.shards.parts import SourceParts
from engine.parallel.shards.ranks import RankGroup
from engine.runtime.sessions.torch.attention.distances import bias_line, diagonals, query_blocks
from engine.runtime.sessions.torch.attention.heads import LayerHeads, attend_masked
from engine.runtime.sessions.torch.model import widened

_BLOCK_BYTES = {"cpu": 1 << 20, "cuda": 1 << 28}
"""What the scores of a block of queries may take: a processor's cache, a GPU's spare memory."""


def _room(query: Tensor) -> int:
    """How many keys for how many of the queries `[B,H,...]` fit in a block of scores."""
    count, heads = query.shape[:2]
    # FP32 scores and biases.
    return _BLOCK_BYTES[query.device.type] // (count * heads * 2 * 4)


@dataclass(frozen=True)
class SourceAttention:
    """That of the sources' `parts` on the ranks of `group`, `width` positions on each.

    `relative [H,2 furthest + 1]` is the bias of each distance.  Keys and values are gathered, or go
    round in a `ring`, which holds two parts of them at a time.
    """

    parts: SourceParts
    group: RankGroup
    width: int
    relative: Tensor | None
    ring: bool

    def __call__(self, heads: LayerHeads, x: Tensor) -> Tensor:
        """The contexts `[B,H,width,K]` of this rank's positions, see `Attention`."""
        query, key, value = heads(x)
        both = torch.stack((key, value))
        return self._round(query, both) if self.ring else self._gathered(query, both)

    def _gathered(self, query: Tensor, both: Tensor) -> Tensor:
        every = self.group.all_gather(both)
        keys, values = every.permute(1, 2, 3, 0, 4, 5).flatten(3, 4)
        contexts = [
            attend_masked(query[:, :, block], keys, values, self._whole_bias(block))
            for block in query_blocks(self.width, _room(query) // keys.shape[2])
        ]
        return torch.cat(contexts, dim=2)

    def _round(self, query: Tensor, both: Tensor) -> Tensor:
        group, blocks = self.group, query_blocks(self.width, isqrt(_room(query)))
        output = widened(torch.zeros_like(query))
        sums = torch.full_like(output[..., :1], -torch.inf)
        for step in range(group.size):
            owner = (group.rank - step) % group.size
            following = group.pass_on(both) if step + 1 < group.size else None
            for block, some in product(blocks, blocks):
                # Rounded as where keys are gathered.
                bias = self._bias(block, owner, some).to(query.dtype)
                keys, values = both[:, :, :, some]
                made = attend_part(query[:, :, block], keys, values, bias)
                before = output[:, :, block], sums[:, :, block]
                pairs = (torch.stack(pair) for pair in zip(before, made, strict=True))
                output[:, :, block], sums[:, :, block] = merged(*pairs)
            both = both if following is None else following()
        return output.to(query.dtype)

    def _whole_bias(self, block: slice) -> Tensor:
        every = slice(0, self.width)
        parts = [self._bias(block, owner, every) for owner in range(self.group.size)]
        return torch.cat(parts, dim=-1)

    def _bias(self, block: slice, owner: int, some: slice) -> Tensor:
        """What is added to scores of a block with some keys of a rank, `[B,1|H,1|Q,S]`."""
        hidden = ~self.parts.has(owner, self.width)[:, None, None, some]
        if self.relative is None:
            return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -torch.inf)
        queries, keys = block.stop - block.start, some.stop - some.start
        first = (owner - self.group.rank) * self.parts.each + some.start - block.stop + 1
        line = torch.arange(queries + keys - 1, device=first.device) + first[:, None]
        biases = bias_line(self.relative, line).transpose(0, 1)
        return diagonals(biases, keys).masked_fill_(hidden, -torch.inf)
