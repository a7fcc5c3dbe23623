"""What a layer's self-attention is computed of: its heads' queries, keys and values.

B sources, n vectors of each, S positions, D the model's width, H heads, K a head's width.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from engine.runtime.sessions.torch.model import TorchStack, TorchSublayer


@dataclass(frozen=True)
class LayerHeads:
    """Those of a layer of `stack`, for `count` sources that lie one behind the other."""

    stack: TorchStack
    sublayer: TorchSublayer
    count: int

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scaled queries, keys and values `[B,H,n,K]` of vectors `x [B*n,D]`."""
        made = self.sublayer.entry(x).view(self.count, -1, 3, self.stack.heads, self.stack.head)
        query, key, value = made.permute(2, 0, 3, 1, 4)
        return query, key, value


Attention = Callable[[LayerHeads, Tensor], Tensor]
"""Contexts `[B,H,S,K]` of a layer's heads, for the vectors `[B*S,D]` that the layer reads."""


def masked(mask: Tensor) -> Attention:
    """Attention of whole sources: `mask [B,1|H,1|S,S]` is added to scores."""

    def attention(heads: LayerHeads, x: Tensor) -> Tensor:
        return attend_masked(*heads(x), mask)

    return attention


def attend_masked(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Contexts `[B,H,Q,K]` of scaled queries; `mask [B,1|H,1|Q,S]` is added to their scores."""
    bias = mask.to(query.dtype)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)
