"""What a decoder step does beside products, in plain torch.

Each of these is one kernel's worth of work: another implementation keeps the contract of the
function that it replaces.  All of them can be captured: none waits for the host.

N rows, D the model's width, H heads, K a head's width, L positions of a cache, V tokens.
"""

import torch
from torch import Tensor

from engine.runtime.sessions.torch.model import TorchNorm, TorchProduct, widened
from engine.runtime.sessions.torch.selection.beams import join_beams as join_beams


def write(cache: Tensor, positions: Tensor, values: Tensor) -> None:
    """Writes `values [N,H,K]` to `cache [N,H,L,K]` at `positions [N]`."""
    places = positions[:, None, None, None].expand(*values.shape[:2], 1, values.shape[2])
    cache.scatter_(2, places, values[:, :, None].to(cache.dtype))


def read(cache: Tensor, positions: Tensor) -> Tensor:
    """What `cache [N,H,L,K]` holds at `positions [N]`, `[N,H,K]`."""
    places = positions[:, None, None, None].expand(*cache.shape[:2], 1, cache.shape[3])
    return cache.gather(2, places)[:, :, 0]


def attend(query: Tensor, keys: Tensor, values: Tensor, lengths: Tensor) -> Tensor:
    """Attention of one position over caches.

    Args:
        query: `[N,H,K]`, scaled.
        keys: `[N,H,L,K]`, as `values`; behind a row's length they hold any finite numbers.
        values: see `keys`.
        lengths: `[N]`, how many positions a row attends to, 1 or more.

    Returns:
        Contexts `[N,H*K]` of the caches' type.

    """
    return _mixed(weigh(query, keys, lengths), values)


def attend_own(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    keys: Tensor,
    values: Tensor,
    positions: Tensor,
    table: Tensor | None,
) -> Tensor:
    """Writes a step's keys and values, and attends to them and to all before them.

    Args:
        query: `[N,H,K]`, scaled.
        key: `[N,H,K]`, as `value`: they are written to the caches at `positions`.
        value: see `key`.
        keys: `[N,H,L,K]`, as `values`; behind a row's position they hold any finite numbers.
        values: see `keys`.
        positions: `[N]`, from 0 on.
        table: FP32 `[H,2 furthest + 1]`, which is added to scores by distance. See `relative_bias`.

    Returns:
        Contexts `[N,H*K]` of the caches' type.

    """
    write(keys, positions, key)
    write(values, positions, value)
    bias = None if table is None else relative_bias(table, positions, keys.shape[2])
    return _mixed(weigh(query, keys, positions + 1, bias), values)


def weigh(query: Tensor, keys: Tensor, lengths: Tensor, bias: Tensor | None = None) -> Tensor:
    """How much `attend` takes of each position: FP32 `[N,H,L]`, 0 behind a row's length.

    `bias [N,H,L]` FP32 is added to scores.
    """
    scores = widened((keys @ query.to(keys.dtype)[..., None])[..., 0])
    if bias is not None:
        scores = scores + bias
    places = torch.arange(keys.shape[2], device=keys.device)
    hidden = (places >= lengths[:, None])[:, None]
    return scores.masked_fill(hidden, -torch.inf).softmax(dim=-1)


def _mixed(weights: Tensor, values: Tensor) -> Tensor:
    return (weights.to(values.dtype)[:, :, None] @ values)[:, :, 0].flatten(1)


def relative_bias(table: Tensor, positions: Tensor, length: int) -> Tensor:
    """How rows at `positions [N]` look on `length` cached ones: `[N,H,length]`.

    `table [H,2 furthest + 1]` is by distance, from -furthest on.
    """
    furthest = table.shape[1] // 2
    places = torch.arange(length, device=table.device)
    distances = (places - positions[:, None]).clamp(-furthest, furthest) + furthest
    return table[:, distances].transpose(0, 1)


def residual(
    x: Tensor, update: Tensor, norm: TorchNorm, *, pre_norm: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Adds `update [N,D]` of any float type to FP32 `x [N,D]`.

    Returns:
        What the next sum begins with, FP32 `[N,D]`: where the model is `pre_norm` this one, else
        its norm; and its norm, which the next product reads, in that one's `dtype`.

    """
    total = x + update
    made = norm(total)
    return total if pre_norm else made, made.to(dtype)


def logits_into(out: Tensor, x: Tensor, head: TorchProduct) -> None:
    """`out [N,V]` FP32 = the head's logits for `x [N,D]`.

    From 16 to 32 the steps of FP16 are 1/64, and the best tokens often lie closer: operands may be
    in 16 bits, sums and results may not.
    """
    weight, operand = head.weight, x.to(head.weight.dtype)
    if weight.dtype == torch.float32:
        torch.addmm(head.bias, operand, weight, out=out)
    elif weight.is_cuda:
        torch.add(torch.mm(operand, weight, out_dtype=torch.float32), head.bias, out=out)
    else:
        torch.addmm(head.bias.float(), operand.float(), weight.float(), out=out)


def choose(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The best tokens `[N]` of FP32 `logits [N,V]`, of equal ones the first, and log-probabilities.

    A row that holds NaN has the log-probability NaN.
    """
    best, ids = logits.max(dim=1)
    return ids, best - logits.logsumexp(dim=1)


def select(logits: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `count` best tokens of FP32 `logits [N,V]`, best first, equal ones by id.

    Returns:
        Their ids `[N,count]`, their logits, and the log-sum-exps `[N]` of all logits, of which one
        is NaN where a row holds NaN; such a row's tokens are any.

    """
    # Bits that are in the order of the numbers; 0 and -0 are one.
    bits = (logits + 0.0).view(torch.int32)
    bits ^= (bits >> 31) & 0x7FFFFFFF
    places = torch.arange(logits.shape[1], device=logits.device)
    ids = ((bits.long() << 32) - places).topk(count, dim=1).indices
    return ids, logits.gather(1, ids), logits.logsumexp(dim=1)


def copy_rows(cache: Tensor, sources: Tensor, targets: Tensor, length: int) -> None:
    """Copies the first `length` positions of rows of `cache [P,N,H,L,K]` over others.

    No row is both a source and a target.
    """
    part = cache[:, :, :, :length]
    part.index_copy_(1, targets, part.index_select(1, sources))


def int8_product(
    x: Tensor, inputs: Tensor, weight: Tensor, scales: Tensor, bias: Tensor, dtype: torch.dtype
) -> Tensor:
    """`x [N,in] * inputs`, rounded to `dtype`, times INT8 `weight [out,in]`; scaled and biased.

    Args:
        x: of any float type; values far beyond INT8's, once multiplied, need the range of BF16.
        inputs: FP32 `[in]`.
        weight: `[out,in]`.
        scales: FP32 `[out]`, what a column of the product is multiplied with.
        bias: FP32 `[out]`, added to it.
        dtype: of the result `[N,out]`, FP32 or BF16, which both hold every INT8.

    """
    scaled = torch.mul(x, inputs, out=torch.empty_like(x, dtype=dtype))
    made = scaled @ weight.to(dtype).t()
    return torch.addcmul(bias, made, scales, out=made)
