"""How the beams of texts go on, on the device: `decoding/beam_step.py` in fixed shapes.

n texts of k beams, of each of which the 2k best tokens are looked at.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from engine.runtime.decoding.strategy import FREE, NEVER


class BeamTable(NamedTuple):
    """What is known of beams before a step.

    Their `slots` and `scores [n,k]`, best first; the tokens `forced [n]` that texts must make, or
    `FREE`, and `is_last [n]`, not 0 where this is their last one.  Where the model
    `renormalizes [1]`, which is not 0 then, the tokens that it suppresses have no share in scores.
    """

    slots: Tensor
    scores: Tensor
    forced: Tensor
    is_last: Tensor
    renormalizes: Tensor


INTS = ("slots", "parents", "tokens", "ended_slots", "ended_tokens", "ends", "is_over")
FLOATS = ("log_probs", "scores", "ended_scores", "ended_log_probs")
"""What is told of each of the k next beams, best first, and of the first k continuations.

A beam goes on from slot `parents` in slot `slots`, one of the text's, with `tokens`, `log_probs`
and `scores`.  Where one of the first k continuations `ends`, slot `ended_slots` makes
`ended_tokens` with `ended_log_probs` and `ended_scores`; `is_over` where all 2k of the text do.
"""


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
    """Finds the next beams.

    Args:
        made_ints: `[n*k,7]`, where the numbers of `INTS` are written.
        made_floats: `[n*k,4]`, where those of `FLOATS` are.
        ids: each slot's 2k best tokens `[N,2k]`, best first; -1 behind the end of a vocabulary.
        logits: theirs.
        totals: log-sum-exps of all logits `[N]`.
        suppressed: the logits `[N,...]` of tokens that have no share in `totals`.
        table: the beams, one a slot.
        eos_id: the token that ends an answer.

    """
    slots, forced = table.slots, table.forced[:, None, None]
    texts, width = slots.shape
    flat, shape = slots.flatten(), (texts, width, 2 * width)
    ids, logits = ids.index_select(0, flat).view(shape), logits.index_select(0, flat).view(shape)
    best = logits[..., 0]
    # Rounded as where the host is told of log-probabilities, and finds totals by them.
    found = best - (best - totals.index_select(0, flat).view(texts, width))
    every = found
    if suppressed.shape[1]:
        left_out = suppressed.index_select(0, flat).view(texts, width, -1)
        every = found + (left_out - found[..., None]).exp().sum(dim=-1).log1p()
    log_probs = logits - every[..., None]
    scored_by = torch.where(table.renormalizes != 0, found, every)
    scores = logits - scored_by[..., None]
    is_forced, is_first = forced != FREE, torch.arange(2 * width, device=ids.device) == 0
    ids = torch.where(is_forced & is_first, forced, ids.masked_fill(is_forced, -1))
    log_probs, scores = log_probs.masked_fill(is_forced, 0), scores.masked_fill(is_forced, 0)
    scores = (scores + table.scores[..., None]).masked_fill(ids < 0, torch.nan)

    first = _ranked(scores.flatten(1), ids.flatten(1) < 0)[:, : 2 * width]
    parents = first // (2 * width)
    looked_at = (one.flatten(1).gather(1, first) for one in (ids, scores, log_probs))
    tokens, ranks, values = looked_at
    missing = tokens < 0
    ends = (tokens == eos_id) | missing | (table.is_last != 0)[:, None]
    opened = ranks + ends * float(NEVER)
    chosen = _ranked(opened, missing)[:, :width]
    going = parents.gather(1, chosen)
    made = (one.gather(1, chosen) for one in (tokens, values, opened))
    next_tokens, next_values, next_scores = made
    is_over = ends.all(dim=1, keepdim=True).expand(texts, width)
    firsts = slots.gather(1, parents[:, :width]), tokens[:, :width], ends[:, :width], is_over
    ints = _placed(slots, going), slots.gather(1, going), next_tokens, *firsts
    floats = next_values, next_scores, ranks[:, :width], values[:, :width]
    made_ints.copy_(torch.stack([one.long() for one in ints], dim=-1).flatten(0, 1))
    made_floats.copy_(torch.stack(floats, dim=-1).flatten(0, 1))


def _ranked(scores: Tensor, missing: Tensor) -> Tensor:
    """The order of each row's highest `scores [n,m]`, equal ones in theirs, `missing` ones last."""
    # Some sorts tell -0 from 0, and NaN from -NaN: there is one of each.
    falling = (0.0 - scores).masked_fill(missing, torch.nan)
    return falling.sort(dim=1, stable=True).indices


def _placed(slots: Tensor, parents: Tensor) -> Tensor:
    """See `beam_step.place_beams`: where beams stand whose parents are beams `[n,k]`."""
    beams = torch.arange(slots.shape[1], device=slots.device)
    same = parents[:, :, None] == parents[:, None, :]
    earlier = beams[:, None] > beams
    is_further = (same & earlier).any(dim=2)
    has_children = (parents[:, None, :] == beams[:, None]).any(dim=2)
    free = has_children.to(torch.int8).sort(dim=1, stable=True).indices
    place = (is_further.cumsum(dim=1) - 1).clamp(min=0)
    return slots.gather(1, torch.where(is_further, free.gather(1, place), parents))
