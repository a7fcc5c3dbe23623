"""Attention to parts of sources, which are merged by (output, log-sum-exp).

The softmax of all scores follows from those of parts (Milakov and Gimelshein 2018,
arXiv:1805.02867), so that keys and values may go round from rank to rank while each adds its share:
ring attention (Liu, Zaharia and Abbeel 2023, arXiv:2310.01889).

B sources or rows, H heads, Q queries, S positions of a part, K a head's width.
"""

from dataclasses import dataclass
from itertools import product
from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.parallel.shards.model import HALF
from engine.parallel.shards.parts import SourceParts
from engine.parallel.shards.ranks import RankGroup
from engine.runtime.sessions.torch.model import widened

_BLOCK_BYTES = {"cpu": 1 << 20, "cuda": 1 << 28}
"""What the scores of a block of queries may take: a processor's cache, a GPU's spare memory."""


def attend_part(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Attention of scaled `query [B,H,Q,K]` to a part's `keys` and `values [B,H,S,K]`.

    `bias [B,1|H,1|Q,S]` is added to scores, -inf where nothing is seen.

    Returns:
        The output `[B,H,Q,K]`, 0 where a query sees nothing, and the log-sum-exp of its scores
        `[B,H,Q,1]`, both FP32 or wider.

    """
    scores = scores_of(query, keys) + bias
    highest = _finite(scores.amax(dim=-1, keepdim=True))
    weights = (scores - highest).exp()
    total = weights.sum(dim=-1, keepdim=True)
    output = _product(weights.to(values.dtype), values)
    tiny = torch.finfo(total.dtype).tiny
    return output / total.clamp(min=tiny), highest + total.log()


def scores_of(query: Tensor, keys: Tensor) -> Tensor:
    """The products `[B,H,Q,S]`, FP32 or wider, of `query [B,H,Q,K]` and `keys [B,H,S,K]`."""
    return _product(query.to(keys.dtype), keys.transpose(-1, -2))


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Products of matrices `[B,H,...]`; those of 16 bits have sums and results of FP32."""
    if left.dtype.itemsize > HALF:
        return left @ right
    if left.is_cuda:
        pairs = left.flatten(0, 1), right.flatten(0, 1)
        made: Tensor = torch.bmm(*pairs, out_dtype=torch.float32)
        return made.view(*left.shape[:2], *made.shape[1:])
    return left.float() @ right.float()


def merged(outputs: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """What parts' `outputs [n,...,K]` with log-sum-exps `sums [n,...,1]` give together."""
    total = sums.logsumexp(dim=0)
    weights = (sums - _finite(total)).exp()
    return (outputs * weights).sum(dim=0), total


def _finite(values: Tensor) -> Tensor:
    """`values`, and 0 for -inf, from which -inf may be subtracted."""
    return values.masked_fill(values == -torch.inf, 0)


def _room(query: Tensor) -> int:
    """How many keys for how many of the queries `[B,H,...]` fit in a block of scores."""
    count, heads = query.shape[:2]
    # FP32 scores and biases.
    return _BLOCK_BYTES[query.device.type] // (count * heads * 2 * 4)


def _blocks(width: int, size: int) -> list[slice]:
    """Slices of `width` positions, at most so many each."""
    size = max(1, size)
    return [slice(first, min(first + size, width)) for first in range(0, width, size)]


@dataclass(frozen=True)
class SourceAttention:
    """Self-attention of the sources' `parts` on the ranks of `group`, `width` positions on each.

    `relative [H,2 furthest + 1]` is the bias of each distance.  Keys and values are gathered, or go
    round in a `ring`, which holds two parts of them at a time.
    """

    parts: SourceParts
    group: RankGroup
    width: int
    relative: Tensor | None
    ring: bool

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The contexts of this rank's positions; all are `[B,H,width,K]`."""
        both = torch.stack((key, value))
        return self._round(query, both) if self.ring else self._gathered(query, both)

    def _gathered(self, query: Tensor, both: Tensor) -> Tensor:
        every = self.group.all_gather(both)
        keys, values = every.permute(1, 2, 3, 0, 4, 5).flatten(3, 4)
        contexts = [
            F.scaled_dot_product_attention(
                query[:, :, block],
                keys,
                values,
                attn_mask=self._whole_bias(query, block),
                scale=1.0,
            )
            for block in _blocks(self.width, _room(query) // keys.shape[2])
        ]
        return torch.cat(contexts, dim=2)

    def _round(self, query: Tensor, both: Tensor) -> Tensor:
        group, blocks = self.group, _blocks(self.width, isqrt(_room(query)))
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

    def _whole_bias(self, query: Tensor, block: slice) -> Tensor:
        every = slice(0, self.width)
        parts = [self._bias(block, owner, every) for owner in range(self.group.size)]
        return torch.cat(parts, dim=-1).to(query.dtype)

    def _bias(self, block: slice, owner: int, some: slice) -> Tensor:
        """What is added to scores of a block with some keys of a rank, `[B,1|H,1|Q,S]`."""
        hidden = ~self.parts.has(owner, self.width)[:, None, None, some]
        if self.relative is None:
            return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -torch.inf)
        queries, keys = block.stop - block.start, some.stop - some.start
        # Scores of one diagonal have one distance: what is looked up is a line, of which each query
        # sees a window.
        first = (owner - self.group.rank) * self.parts.each + some.start - block.stop + 1
        line = torch.arange(queries + keys - 1, device=first.device) + first[:, None]
        furthest = self.relative.shape[1] // 2
        biases = self.relative[:, line.clamp(-furthest, furthest) + furthest].transpose(0, 1)
        return biases.unfold(-1, keys, 1).flip(2).masked_fill_(hidden, -torch.inf)
