"""Batches of similar length, bounded by their padded tokens.

Lengths are padded to multiples of 16: on a CPU each new tensor shape costs a fresh kernel set-up.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from engine.model.config import ModelConfig
from engine.training.corpus import Pair

PAD_TO = 16


@dataclass(frozen=True)
class Example:
    """Token ids of a pair, each side with its end of sequence."""

    source: list[int]
    target: list[int]

    @property
    def length(self) -> int:
        """The longer side, in tokens."""
        return max(len(self.source), len(self.target))


@dataclass(frozen=True)
class Batch:
    """`source [B,S]`, its boolean `mask`, `inputs [B,T]` and `labels [B,T]` (-100: none)."""

    source: Tensor
    mask: Tensor
    inputs: Tensor
    labels: Tensor

    @property
    def target_tokens(self) -> int:
        """Tokens that count in the loss."""
        return int((self.labels >= 0).sum())

    def to(self, device: str) -> "Batch":
        """The same batch on another device."""
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def encode_pairs(pairs: Sequence[Pair], tokenizer: Tokenizer, max_length: int) -> list[Example]:
    """Token ids of every pair of which no side is longer than `max_length`."""
    sources = tokenizer.encode_batch([pair.source for pair in pairs])
    targets = tokenizer.encode_batch([pair.target for pair in pairs])
    examples = [Example(s.ids, t.ids) for s, t in zip(sources, targets, strict=True)]
    return [example for example in examples if example.length <= max_length]


def make_batches(
    examples: Sequence[Example], config: ModelConfig, tokens: int, order: random.Random
) -> Iterator[Batch]:
    """Yields every example once, in batches of at most `tokens` padded tokens, shuffled."""
    ranked = sorted(examples, key=lambda e: (e.length + order.random() * 4, order.random()))
    groups: list[list[Example]] = [[]]
    for example in ranked:
        if groups[-1] and (len(groups[-1]) + 1) * padded(example.length) > tokens:
            groups.append([])
        groups[-1].append(example)
    order.shuffle(groups)
    for group in groups:
        yield collate(group, config)


def collate(group: Sequence[Example], config: ModelConfig) -> Batch:
    """Pads the examples of one batch."""
    source = _pad([e.source for e in group], config.pad_id)
    labels = _pad([e.target for e in group], -100)
    shifted = [[config.decoder_start_id, *e.target[:-1]] for e in group]
    lengths = torch.tensor([len(e.source) for e in group])
    mask = torch.arange(source.shape[1])[None] < lengths[:, None]
    return Batch(source, mask, _pad(shifted, config.pad_id), labels)


def padded(length: int) -> int:
    """`length` rounded up to a multiple of `PAD_TO`."""
    return -(-length // PAD_TO) * PAD_TO


def _pad(rows: list[list[int]], fill: int) -> Tensor:
    width = padded(max(len(row) for row in rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])
