"""A rank's part of a model."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.parallel.shards.division import Portion
from engine.parallel.shards.ranks import RankGroup, Ranks
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.model import (
    Product,
    TorchEmbedding,
    TorchModel,
    TorchProduct,
    TorchStack,
    widened,
)

_NONE = Portion(0, 0)

HALF = 2
"""Bytes."""

MOST_GATHERED = 1 << 30
"""Bytes of a layer's keys and values that a rank holds of all parts of sources at once."""


@dataclass(frozen=True)
class RowProduct:
    """A `Product` whose rows are divided: each rank multiplies a part of the inputs.

    Results of 16 bits are summed in FP32 before they are rounded, as the whole product's sums are;
    rank 0 alone has the bias.  Together with a product
    before it whose columns are divided, a block takes one all-reduce (Shoeybi et al. 2019,
    arXiv:1909.08053).
    """

    part: Product
    group: RankGroup

    @property
    def dtype(self) -> torch.dtype:
        """See `Product`."""
        return self.part.dtype

    @property
    def width(self) -> int:
        """See `Product`."""
        return self.part.width

    def __call__(self, x: Tensor) -> Tensor:
        """See `Product`; `x [n,in]` is of this rank's inputs."""
        part = self.part
        if not isinstance(part, TorchProduct) or part.dtype.itemsize > HALF:
            return self.group.all_reduce(part(x))
        made = x.new_empty(x.shape[0], part.width, dtype=torch.float32)
        kernels.logits_into(made, x, part)
        return self.group.all_reduce(made).to(part.dtype)


@dataclass(frozen=True)
class SharedEmbedding:
    """An `Embedding` of a vocabulary that is divided; `part` has the vectors of `tokens`."""

    part: TorchEmbedding
    tokens: Portion
    group: RankGroup

    def __call__(self, ids: Tensor, positions: Tensor, placed: Tensor | None) -> Tensor:
        """See `Embedding`."""
        own = ids - self.tokens.first
        elsewhere = (own < 0) | (own >= self.tokens.size)
        rows = F.embedding(own.masked_fill(elsewhere, 0), self.part.rows)
        # One rank alone adds something: the sum is exact in any type.
        whole = self.group.all_reduce(rows.masked_fill(elsewhere[:, None], 0))
        return self.part.place(widened(whole), positions, placed)


@dataclass(frozen=True)
class ShardedModel(TorchModel):
    """A rank's part: of each product, of the heads, and of the `tokens` that answers have.

    `vocabulary`, `suppressed` and `max_positions` are the whole model's; `heads` of stacks are this
    rank's own.  A source's keys and values are gathered if they take `most_gathered` bytes a layer,
    else they go round.
    """

    ranks: Ranks = field(default_factory=Ranks)
    tokens: Portion = _NONE
    most_gathered: int = MOST_GATHERED


def joined(stack: TorchStack, tokens: Portion, group: RankGroup) -> TorchStack:
    """A stack of divided parts, which are summed where the whole's next part reads them."""
    if group.size == 1:
        return stack
    assert isinstance(stack.embedding, TorchEmbedding)
    layers = [
        [
            replace(one, exit=None if one.exit is None else RowProduct(one.exit, group))
            for one in layer
        ]
        for layer in stack.layers
    ]
    embedding = SharedEmbedding(stack.embedding, tokens, group)
    return replace(stack, embedding=embedding, layers=layers)
