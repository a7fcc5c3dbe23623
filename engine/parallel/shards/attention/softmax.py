"""Attention to parts of sources, which are merged by (output, log-sum-exp).

The softmax of all scores follows from those of parts (Milakov and Gimelshein 2018,
arXiv:1805.02867), so that keys and values may go round from rank to rank while each adds its share:
ring attention (Liu, Zaharia and Abbeel 2023, arXiv:2310.01889).

B sources or rows, H heads, Q queries, S positions of a part, K a head's width.
"""

import torch
from torch import Tensor

from engine.parallel.shards.model import HALF


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
