"""What kernels are asked, and what they must answer, of which FP64 decides.

N rows, H heads, K a head's width, L positions, V tokens; sizes are none that a kernel likes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from engine.runtime.sessions.torch.model import TorchNorm, TorchProduct
from engine.runtime.sessions.torch.selection.beams import join_beams
from tests.engine.runtime.torch_sessions.kernels.drawn_beams import EOS_ID, drawn_beams, on

BOUNDS = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}
"""The relative error that results of a type may have."""
EXACT = 1e-12
LARGE = 6e4
"""What stands where nothing may look."""
ATTENTIONS = ((1, 2, 16, 16), (3, 8, 64, 64), (19, 5, 80, 144))
"""N, H, K, L."""


@dataclass(frozen=True)
class Compared:
    """A result and what it should be; `bound` is for the relative error."""

    made: Tensor
    wanted: Tensor
    bound: float

    def error(self) -> float:
        """How far off the result is, NaN where it is not finite and should be."""
        made, wanted = self.made.double(), self.wanted.double()
        same = (made == wanted) | (made.isnan() & wanted.isnan())
        off = torch.where(same, 0.0, made - wanted).norm()
        return float(off / wanted.nan_to_num(0.0, 0.0, 0.0).norm().clamp_min(1e-30))


class Draw:
    """Random inputs on a device."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self.device = device
        self._generator = torch.Generator(device).manual_seed(seed)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Numbers around 0."""
        made = torch.randn(shape, generator=self._generator, device=self.device)
        return made.to(dtype)

    def whole(self, low: int, high: int, count: int) -> Tensor:
        """So many of `low` to `high`, both of which are among them if there is room."""
        made = torch.randint(low, high + 1, (count,), generator=self._generator, device=self.device)
        made[:1] = high
        made[1:2] = low
        return made

    def distinct(self, count: int, most: int) -> Tensor:
        """So many different numbers below `most`."""
        return torch.randperm(most, generator=self._generator, device=self.device)[:count]

    def caches(self, rows: int, heads: int, width: int, length: int, dtype: torch.dtype) -> Tensor:
        """Keys and values `[2,N,H,L,K]` in larger ones, as those of a session lie."""
        larger = self.normal(2, rows + 2, heads, length + 16, width, dtype=dtype)
        return larger[:, :rows, :, :length]


Case = Callable[[Any, Draw], Iterator[Compared]]


def _attend(function: Any, draw: Draw) -> Iterator[Compared]:
    for dtype, (rows, heads, width, length) in product(BOUNDS, ATTENTIONS):
        keys, values = draw.caches(rows, heads, width, length, dtype)
        lengths = draw.whole(1, length, rows)
        _hide(keys, values, lengths)
        query = (draw.normal(rows, heads, width) * width**-0.5).to(dtype)
        made = function(query, keys, values, lengths)
        context = made if isinstance(made, Tensor) else made[0]
        wanted, _ = _attention(query, keys, values, lengths)
        yield Compared(context, wanted, BOUNDS[dtype])


def _attend_own(function: Any, draw: Draw) -> Iterator[Compared]:
    for dtype, sizes, relative in product(BOUNDS, ATTENTIONS, (False, True)):
        rows, heads, width, length = sizes
        keys, values = draw.caches(*sizes, dtype)
        positions = draw.whole(0, length - 1, rows)
        _hide(keys, values, positions)
        qkv = draw.normal(rows, 3, heads, width, dtype=dtype)
        qkv[:, 0] *= width**-0.5
        table = draw.normal(heads, 2 * 7 + 1) if relative else None
        query, key, value = qkv.unbind(1)
        before = keys.clone(), values.clone()
        made = function(query, key, value, keys, values, positions, table)
        for cache, old, new in zip((keys, values), before, (key, value), strict=True):
            old[torch.arange(rows, device=old.device), :, positions] = new
            yield Compared(cache, old, EXACT)
        bias = None if table is None else _relative(table, positions, length)
        wanted, _ = _attention(query, *before, positions + 1, bias)
        yield Compared(made, wanted, BOUNDS[dtype])


def _weigh(function: Any, draw: Draw) -> Iterator[Compared]:
    for dtype, (rows, heads, width, length) in product(BOUNDS, ATTENTIONS):
        keys, values = draw.caches(rows, heads, width, length, dtype)
        lengths = draw.whole(1, length, rows)
        query = (draw.normal(rows, heads, width) * width**-0.5).to(dtype)
        _, wanted = _attention(query, keys, values, lengths)
        yield Compared(function(query, keys, lengths), wanted, BOUNDS[dtype])


def _hide(keys: Tensor, values: Tensor, lengths: Tensor) -> None:
    """Puts large numbers behind rows' lengths."""
    behind = torch.arange(keys.shape[2], device=keys.device) >= lengths[:, None]
    for one in (keys, values):
        one.masked_fill_(behind[:, None, :, None], LARGE)


def _attention(
    query: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    scores = torch.einsum("nhk,nhlk->nhl", query.double(), keys.double())
    scores = scores if bias is None else scores + bias.double()
    behind = torch.arange(keys.shape[2], device=keys.device) >= lengths[:, None]
    weights = scores.masked_fill(behind[:, None], -torch.inf).softmax(dim=-1)
    return torch.einsum("nhl,nhlk->nhk", weights, values.double()).flatten(1), weights


def _relative(table: Tensor, positions: Tensor, length: int) -> Tensor:
    furthest = table.shape[1] // 2
    places = torch.arange(length, device=table.device)
    steps = (places - positions[:, None]).clamp(-furthest, furthest) + furthest
    return table[:, steps].transpose(0, 1)


def _write(function: Any, draw: Draw) -> Iterator[Compared]:
    for dtype, (rows, heads, width, length) in product(BOUNDS, ATTENTIONS):
        cache, _ = draw.caches(rows, heads, width, length, dtype)
        positions, values = draw.whole(0, length - 1, rows), draw.normal(rows, heads, width)
        wanted = cache.clone()
        wanted[torch.arange(rows, device=cache.device), :, positions] = values.to(dtype)
        function(cache, positions, values)
        yield Compared(cache, wanted, EXACT)


def _read(function: Any, draw: Draw) -> Iterator[Compared]:
    cache, _ = draw.caches(7, 3, 16, 48, torch.float32)
    positions = draw.whole(0, 47, 7)
    wanted = cache[torch.arange(7, device=cache.device), :, positions]
    yield Compared(function(cache, positions), wanted, EXACT)


def _copy_rows(function: Any, draw: Draw) -> Iterator[Compared]:
    for dtype, (rows, length) in product(BOUNDS, ((4, 16), (21, 33))):
        cache = draw.normal(6, rows, 3, 48, 80, dtype=dtype)
        places = draw.distinct(2 * (rows // 2), rows)
        sources, targets = places.chunk(2)
        wanted = cache.clone()
        wanted[:, targets, :, :length] = cache[:, sources, :, :length]
        function(cache, sources, targets, length)
        yield Compared(cache, wanted, EXACT)


def _residual(function: Any, draw: Draw) -> Iterator[Compared]:
    for dtype, pre, rms in product(BOUNDS, (False, True), (False, True)):
        x, update = draw.normal(37, 520), draw.normal(37, 520, dtype=dtype)
        bias = None if rms else draw.normal(520)
        norm = TorchNorm(draw.normal(520), bias, 1e-6, rms)
        kept, rounded = function(x, update, norm, pre_norm=pre, dtype=dtype)
        total = x.double() + update.double()
        around = total if rms else total - total.mean(dim=1, keepdim=True)
        made = around / (around.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()
        made = made * norm.weight.double() + (0.0 if bias is None else bias.double())
        yield Compared(kept, total if pre else made, BOUNDS[torch.float32])
        yield Compared(rounded, made, BOUNDS[dtype])


def _logits_into(function: Any, draw: Draw) -> Iterator[Compared]:
    for dtype, rows in product(BOUNDS, (1, 37)):
        x = draw.normal(rows, 72)
        head = TorchProduct(draw.normal(72, 5003, dtype=dtype), draw.normal(5003, dtype=dtype))
        out = torch.full((rows + 2, 5003), torch.nan, device=x.device)[:rows]
        function(out, x, head)
        wanted = x.to(dtype).double() @ head.weight.double() + head.bias.double()
        yield Compared(out, wanted, BOUNDS[torch.float32])


def _logits(draw: Draw) -> Iterator[Tensor]:
    """`[N,V]`: any, many that are equal, nearly all impossible."""
    for rows, tokens in ((1, 131), (5, 32_003)):
        plain = draw.normal(rows, tokens) * 5
        few = torch.full_like(plain, -torch.inf)
        few[:, 5:90] = plain[:, 5:90]
        yield from (plain, plain.round(), few)


def _choose(function: Any, draw: Draw) -> Iterator[Compared]:
    for logits in _logits(draw):
        ids, log_probs = function(logits)
        best = logits.max(dim=1).values
        first = (logits == best[:, None]).int().argmax(dim=1)
        yield Compared(ids, first, EXACT)
        yield Compared(log_probs, best.double() - logits.double().logsumexp(dim=1), 1e-4)
    broken = draw.normal(3, 5003)
    broken[1, 4000] = torch.nan
    _, log_probs = function(broken)
    yield Compared(log_probs.isnan(), torch.tensor([0, 1, 0], device=broken.device), EXACT)


def _select(function: Any, draw: Draw) -> Iterator[Compared]:
    for logits, count in product(_logits(draw), (1, 7, 16, 64)):
        ids, found, totals = function(logits, count)
        wanted, order = logits.sort(dim=1, descending=True, stable=True)
        yield Compared(found, wanted[:, :count], EXACT)
        yield Compared(ids, order[:, :count], EXACT)
        yield Compared(totals, logits.double().logsumexp(dim=1), 1e-5)


def _join_beams(function: Any, draw: Draw) -> Iterator[Compared]:
    for texts, width, suppressed in ((16, 4, 0), (5, 3, 2), (7, 8, 70), (64, 2, 0)):
        given = drawn_beams(texts, width, 40, suppressed)
        wanted = torch.zeros(texts * width, 7).long(), torch.zeros(texts * width, 4)
        made = [one.clone().to(draw.device) for one in wanted]
        join_beams(wanted[0], wanted[1], *given, EOS_ID)
        function(*made, *on(given, draw.device), EOS_ID)
        yield Compared(made[0], wanted[0].to(draw.device), EXACT)
        yield Compared(made[1], wanted[1].to(draw.device), 1e-5)


def _int8_product(function: Any, draw: Draw) -> Iterator[Compared]:
    # Those types that models with INT8 weights are computed in.
    for dtype, rows in product((torch.float32, torch.bfloat16), (1, 5, 37)):
        x, inputs = draw.normal(rows, 200), draw.normal(200).abs() + 0.5
        weight = draw.normal(72, 200).mul(40).clamp(-127, 127).to(torch.int8)
        scales, bias = draw.normal(72).abs() / 100, draw.normal(72)
        wanted = (x.double() * inputs) @ weight.double().t() * scales + bias
        made = function(x, inputs, weight, scales, bias, dtype)
        yield Compared(made, wanted, BOUNDS[dtype])


CASES: dict[str, Case] = {
    "attend": _attend,
    "attend_own": _attend_own,
    "choose": _choose,
    "copy_rows": _copy_rows,
    "int8_product": _int8_product,
    "join_beams": _join_beams,
    "logits_into": _logits_into,
    "read": _read,
    "residual": _residual,
    "select": _select,
    "weigh": _weigh,
    "write": _write,
}
"""By the names that `kernels` exports."""
