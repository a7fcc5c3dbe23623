"""Batches of similar length, bounded by their padded tokens.

Lengths are padded to multiples of 16: on a CPU each new tensor shape costs a fresh kernel set-up.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from tokenizers import Tokenizer
from torch import Tensor

from engine.model.config import ModelConfig
from engine.training.corpus import Pair

PAD_TO = 16


class Sized(Protocol):
    """An example that knows its length in tokens."""

    @property
    def length(self) -> int:
        """The longer side, in tokens."""


E = TypeVar("E", bound=Sized)
B = TypeVar("B")


@dataclass(frozen=True)
class EncodedPair:
    """Token ids of a pair, each side with its end of sequence."""

    source: list[int]
    target: list[int]

    @property
    def length(self) -> int:
        """The longer side, in tokens."""
        return max(len(self.source), len(self.target))


@dataclass(frozen=True)
class PairBatch:
    """`source [B,S]`, its boolean `mask`, `inputs [B,T]` and `labels [B,T]` (-100: none)."""

    source: Tensor
    mask: Tensor
    inputs: Tensor
    labels: Tensor

    @property
    def weight(self) -> int:
        """Tokens that count in the loss."""
        return int((self.labels >= 0).sum())

    def to(self, device: str) -> "PairBatch":
        """The same batch on another device."""
        return PairBatch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def shuffled(self) -> "PairBatch":
        """The same targets, each with the source of the row before."""
        return PairBatch(self.source.roll(1, 0), self.mask.roll(1, 0), self.inputs, self.labels)


def encode_pairs(
    pairs: Sequence[Pair], tokenizer: Tokenizer, max_length: int, *, cut: bool = False
) -> list[EncodedPair]:
    """Token ids of every pair of which no side is longer than `max_length`.

    With `cut`, a longer source loses its middle instead.
    """
    sources = [encoding.ids for encoding in tokenizer.encode_batch([p.source for p in pairs])]
    targets = [encoding.ids for encoding in tokenizer.encode_batch([p.target for p in pairs])]
    if cut:
        sources = [cut_middle(ids, max_length) for ids in sources]
    examples = [EncodedPair(s, t) for s, t in zip(sources, targets, strict=True)]
    return [example for example in examples if example.length <= max_length]


def cut_middle(ids: list[int], length: int) -> list[int]:
    """The first and last tokens of `ids`, at most `length` in all.

    A package description ends with what the package holds ("the development files").
    """
    if len(ids) <= length:
        return ids
    tail = length // 2
    return ids[: length - tail] + ids[-tail:]


def make_batches(
    examples: Sequence[E], collate: Callable[[Sequence[E]], B], tokens: int, order: random.Random
) -> Iterator[B]:
    """Yields every example once, in batches of at most `tokens` padded tokens, shuffled."""
    ranked = sorted(examples, key=lambda e: (e.length + order.random() * 4, order.random()))
    groups: list[list[E]] = [[]]
    for example in ranked:
        if groups[-1] and (len(groups[-1]) + 1) * padded(example.length) > tokens:
            groups.append([])
        groups[-1].append(example)
    order.shuffle(groups)
    for group in groups:
        yield collate(group)


def collate_pairs(group: Sequence[EncodedPair], config: ModelConfig) -> PairBatch:
    """Pads the examples of one batch."""
    source, mask = pad_sources([e.source for e in group], config.pad_id)
    labels = _pad([e.target for e in group], -100)
    shifted = [[config.decoder_start_id, *e.target[:-1]] for e in group]
    return PairBatch(source, mask, _pad(shifted, config.pad_id), labels)


def pad_sources(rows: list[list[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Token ids `[B,S]`, padded, and their boolean mask."""
    source = _pad(rows, pad_id)
    lengths = torch.tensor([len(row) for row in rows])
    return source, torch.arange(source.shape[1])[None] < lengths[:, None]


def padded(length: int) -> int:
    """`length` rounded up to a multiple of `PAD_TO`."""
    return -(-length // PAD_TO) * PAD_TO


def _pad(rows: list[list[int]], fill: int) -> Tensor:
    width = padded(max(len(row) for row in rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])
