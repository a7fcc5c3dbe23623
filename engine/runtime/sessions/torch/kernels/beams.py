"""The joining of beams as one launch, in Triton's language: the contract is that of `plain`.

A program does a text: its candidates are few enough to be looked at as often as are taken.
"""

import triton
import triton.language as tl
from torch import Tensor

from engine.runtime.decoding.strategy import FREE, NEVER
from engine.runtime.sessions.torch.kernels.selection import LOWEST, ordered_keys
from engine.runtime.sessions.torch.selection.beams import BeamTable

_SUPPRESSED = 64
"""How many suppressed logits of each beam are looked at together."""
_FREE, _NEVER = tl.constexpr(FREE), tl.constexpr(float(NEVER))
_NOT_A_NUMBER = tl.constexpr(-1)
"""The bits that `ordered_keys` puts behind all others."""


@triton.jit
def _keys(scores: tl.tensor, is_last: tl.tensor, places: tl.tensor) -> tl.tensor:
    """In whose order the highest score comes last, and of equal ones the first place."""
    behind = tl.full(scores.shape, _NOT_A_NUMBER, tl.int32).to(tl.float32, bitcast=True)
    return ordered_keys(tl.where(is_last | (scores != scores), behind, scores), places)


@triton.jit
def _share_left_out(
    suppressed: tl.tensor,
    rows: tl.tensor,
    is_beam: tl.tensor,
    found: tl.tensor,
    count: tl.tensor,
    block: tl.constexpr,
) -> tl.tensor:
    """The probabilities of suppressed tokens `[beams,1]`, where those of all others sum to 1."""
    share = tl.zeros_like(found)
    for first in range(0, count, block):
        places = first + tl.arange(0, block)[None, :]
        exists = is_beam & (places < count)
        others = tl.load(suppressed + rows + places, mask=exists, other=float("-inf"))
        share += tl.sum(tl.exp(others - found), axis=1, keep_dims=True)
    return share


@triton.jit
def join_kernel(
    made_ints: tl.tensor,
    made_floats: tl.tensor,
    ids: tl.tensor,
    logits: tl.tensor,
    totals: tl.tensor,
    suppressed: tl.tensor,
    slots: tl.tensor,
    scores: tl.tensor,
    forced: tl.tensor,
    is_last: tl.tensor,
    renormalizes: tl.tensor,
    ints_stride: tl.tensor,
    floats_stride: tl.tensor,
    ids_stride: tl.tensor,
    logits_stride: tl.tensor,
    totals_stride: tl.tensor,
    suppressed_stride: tl.tensor,
    text_stride: tl.tensor,
    suppressed_count: tl.tensor,
    eos_id: tl.tensor,
    width: tl.constexpr,
    beams: tl.constexpr,
    tokens: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """A text's next beams; `beams` and `tokens` are powers of 2 that hold `width` and twice it."""
    text = tl.program_id(0).to(tl.int64)
    beam, column = tl.arange(0, beams)[:, None], tl.arange(0, tokens)[None, :]
    is_beam = beam < width
    exists = is_beam & (column < 2 * width)
    slot = tl.load(slots + text * width + beam, mask=is_beam, other=0)
    token = tl.load(ids + slot * ids_stride + column, mask=exists, other=-1)
    logit = tl.load(logits + slot * logits_stride + column, mask=exists, other=0.0)
    best = tl.load(logits + slot * logits_stride, mask=is_beam, other=0.0)
    found = best - (best - tl.load(totals + slot * totals_stride, mask=is_beam, other=0.0))
    every = found
    if suppressed_count > 0:
        rows = slot * suppressed_stride
        share = _share_left_out(suppressed, rows, is_beam, found, suppressed_count, block)
        every = found + tl.log(1.0 + share)
    log_prob = logit - every
    score = logit - tl.where(tl.load(renormalizes) != 0, found, every)
    must = tl.load(forced + text * text_stride)
    is_forced = must != _FREE
    token = tl.where(is_forced, tl.where(column == 0, must, -1), token)
    log_prob, score = tl.where(is_forced, 0.0, log_prob), tl.where(is_forced, 0.0, score)
    score += tl.load(scores + text * width + beam, mask=is_beam, other=0.0)

    places = tl.arange(0, tokens)
    first_tokens = tl.full([tokens], -1, tl.int64)
    first_slots, first_beams = tl.zeros([tokens], tl.int64), tl.zeros([tokens], tl.int32)
    first_scores = tl.zeros([tokens], tl.float32)
    first_values = tl.zeros([tokens], tl.float32)
    left = tl.where(exists, _keys(score, token < 0, beam * tokens + column), LOWEST)
    for place in range(2 * width):
        key = tl.max(left)
        is_it, here = left == key, places == place
        first_tokens = tl.where(here, tl.sum(tl.where(is_it, token, 0)), first_tokens)
        first_slots = tl.where(here, tl.sum(tl.where(is_it, slot, 0)), first_slots)
        first_beams = tl.where(here, tl.sum(tl.where(is_it, beam, 0)), first_beams)
        first_scores = tl.where(here, tl.sum(tl.where(is_it, score, 0.0)), first_scores)
        first_values = tl.where(here, tl.sum(tl.where(is_it, log_prob, 0.0)), first_values)
        left = tl.where(is_it, LOWEST, left)

    missing = first_tokens < 0
    ends = (first_tokens == eos_id) | missing | (tl.load(is_last + text * text_stride) != 0)
    looked_at = places < 2 * width
    is_over = tl.min(tl.where(looked_at, ends.to(tl.int64), 1))
    ints = made_ints + (text * width + places) * ints_stride
    floats = made_floats + (text * width + places) * floats_stride
    told = places < width
    tl.store(ints + 3, first_slots, mask=told)
    tl.store(ints + 4, first_tokens, mask=told)
    tl.store(ints + 5, ends.to(tl.int64), mask=told)
    tl.store(ints + 6, tl.zeros_like(first_slots) + is_over, mask=told)
    tl.store(floats + 2, first_scores, mask=told)
    tl.store(floats + 3, first_values, mask=told)

    opened = first_scores + tl.where(ends, _NEVER, 0.0)
    left_open = tl.where(looked_at, _keys(opened, missing, places), LOWEST)
    beams_on = tl.arange(0, beams)
    parents = tl.full([beams], -1, tl.int32)
    for place in range(width):
        best_key = tl.max(left_open)
        is_next = left_open == best_key
        next_ints = made_ints + (text * width + place) * ints_stride
        next_floats = made_floats + (text * width + place) * floats_stride
        tl.store(next_ints + 1, tl.sum(tl.where(is_next, first_slots, 0)))
        tl.store(next_ints + 2, tl.sum(tl.where(is_next, first_tokens, 0)))
        tl.store(next_floats, tl.sum(tl.where(is_next, first_values, 0.0)))
        tl.store(next_floats + 1, tl.sum(tl.where(is_next, opened, 0.0)))
        parent = tl.sum(tl.where(is_next, first_beams, 0))
        parents = tl.where(beams_on == place, parent, parents)
        left_open = tl.where(is_next, LOWEST, left_open)

    # A parent's first child stays in its slot, the others take those of beams without children.
    going = beams_on < width
    earlier = beams_on[None, :] < beams_on[:, None]
    same = (parents[:, None] == parents[None, :]) & earlier
    is_further = (tl.sum(same.to(tl.int32), axis=1) > 0) & going
    children = tl.sum((parents[None, :] == beams_on[:, None]).to(tl.int32), axis=1)
    is_free = (children == 0) & going
    order = tl.sum((is_free[None, :] & earlier).to(tl.int32), axis=1)
    turn = tl.sum((is_further[None, :] & earlier).to(tl.int32), axis=1)
    from_free = is_further[:, None] & is_free[None, :] & (turn[:, None] == order[None, :])
    from_parent = (is_further == 0)[:, None] & (parents[:, None] == beams_on[None, :])
    own = tl.load(slots + text * width + beams_on, mask=going, other=0)
    placed = tl.sum(tl.where(from_free | from_parent, own[None, :], 0), axis=1)
    tl.store(made_ints + (text * width + beams_on) * ints_stride, placed, mask=going)


def join_beams(
    made_ints: Tensor,
    made_floats: Tensor,
    ids: Tensor,
    logits: Tensor,
    totals: Tensor,
    suppressed: Tensor,
    table: BeamTable,
    eos_id: int,
) -> None:
    """See `plain.join_beams`."""
    texts, width = table.slots.shape
    arrays = made_ints, made_floats, ids, logits
    assert all(array.stride(1) == 1 for array in arrays)
    assert table.slots.is_contiguous() and table.scores.is_contiguous()
    assert table.forced.stride() == table.is_last.stride()
    strides = (array.stride(0) for array in (*arrays, totals, suppressed, table.forced))
    numbers = suppressed.shape[1], eos_id
    beams, tokens = triton.next_power_of_2(width), triton.next_power_of_2(2 * width)
    sizes = width, beams, tokens, _SUPPRESSED
    # So few numbers are one warp's, which then waits for no other.
    join_kernel[(texts,)](
        *(*arrays, totals, suppressed, *table, *strides, *numbers, *sizes), num_warps=1
    )
