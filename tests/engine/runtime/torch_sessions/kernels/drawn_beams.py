"""Random beams for the kernel that joins them."""

import torch
from torch import Tensor

from engine.runtime.decoding.strategy import FREE, NEVER
from engine.runtime.sessions.torch.selection.beams import BeamTable

EOS_ID = 3

Given = tuple[Tensor, Tensor, Tensor, Tensor, BeamTable]
"""What `join_beams` reads, in its order, but for the token that ends an answer."""


def drawn_beams(texts: int, width: int, vocabulary: int, suppressed: int) -> Given:
    """With equal scores, missing and forced tokens, last steps, a NaN, and many tokens that end."""
    rows, count = texts * width + 3, 2 * width
    logits = (torch.randn(rows, count + 2) * 2).round().sort(dim=1, descending=True).values
    ids = torch.rand(rows, 40).argsort(dim=1)[:, : count + 2]
    ids[ids % 8 == EOS_ID] = EOS_ID
    ids[:, min(vocabulary, count) :] = -1
    logits[ids < 0] = -torch.inf
    totals = logits.logsumexp(1)
    slots = torch.randperm(rows)[: texts * width].view(texts, width)
    scores = torch.randn(texts, width).round().sort(dim=1, descending=True).values
    scores[0, 1:] = float(NEVER)  # as in a first step
    numbers = torch.zeros(2, texts, width, dtype=torch.int64)
    numbers[0] = FREE
    numbers[0, 1::4] = 7
    numbers[1, 2::5] = 1
    logits[slots[-1, 0], 0] = torch.nan
    table = BeamTable(slots, scores, numbers[0, :, 0], numbers[1, :, 0], torch.tensor([texts % 2]))
    return ids[:, :count], logits[:, :count], totals, torch.randn(rows, suppressed), table


def on(given: Given, device: torch.device) -> Given:
    """The same on a device."""
    table = BeamTable(*(one.to(device) for one in given[4]))
    ids, logits, totals, suppressed = (one.to(device) for one in given[:4])
    return ids, logits, totals, suppressed, table
