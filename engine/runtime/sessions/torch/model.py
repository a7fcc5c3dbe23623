"""A model's parts on a device: plain matrices, and how they are arranged."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.model.config import Activation
from engine.model.shortlist import Shortlist


class Product(Protocol):
    """y = x W + b, however W is kept."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of operands, which inputs are rounded to, and of results."""
        ...

    @property
    def width(self) -> int:
        """How many columns it gives."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """Maps `x [n,in]` of any float type to `[n,out]`."""
        ...


@dataclass(frozen=True)
class TorchProduct:
    """A `Product` with `weight [in,out]` and `bias [out]`, computed in their type."""

    weight: Tensor
    bias: Tensor

    @property
    def dtype(self) -> torch.dtype:
        """See `Product`."""
        return self.weight.dtype

    @property
    def width(self) -> int:
        """See `Product`."""
        return self.bias.shape[0]

    def __call__(self, x: Tensor) -> Tensor:
        """See `Product`."""
        return torch.addmm(self.bias, x.to(self.weight.dtype), self.weight)


@dataclass(frozen=True)
class TorchNorm:
    """A LayerNorm, or an RMSNorm, over the last axis of FP32 values."""

    weight: Tensor
    bias: Tensor | None
    epsilon: float
    rms: bool

    def __call__(self, x: Tensor) -> Tensor:
        """Maps `x [n,width]` to the same shape."""
        shape = list(self.weight.shape)
        if self.rms:
            return F.rms_norm(x, shape, self.weight, self.epsilon)
        return F.layer_norm(x, shape, self.weight, self.bias, self.epsilon)


class Embedding(Protocol):
    """What tokens and their positions are turned into."""

    def __call__(self, ids: Tensor, positions: Tensor, placed: Tensor | None) -> Tensor:
        """The vectors `[n,width]`, FP32 or wider, of `ids [n]` at `positions [n]`.

        Where `placed [n]` is given and false, a token has no position.
        """
        ...


@dataclass(frozen=True)
class TorchEmbedding:
    """An `Embedding` of `rows [tokens,width]`, each times `scales [width]` if there are any.

    Positions are FP32 `[positions,width]`, or None where they are relative.
    """

    rows: Tensor
    scales: Tensor | None
    positions: Tensor | None

    def __call__(self, ids: Tensor, positions: Tensor, placed: Tensor | None) -> Tensor:
        """See `Embedding`."""
        x = widened(F.embedding(ids, self.rows))
        return self.place(x, positions, placed)

    def place(self, x: Tensor, positions: Tensor, placed: Tensor | None) -> Tensor:
        """The same of tokens' own vectors `x [n,width]`."""
        if self.scales is not None:
            x = x * self.scales
        if self.positions is None:
            return x
        rows = F.embedding(positions, self.positions)
        return x + (rows if placed is None else rows * placed[:, None])


@dataclass(frozen=True)
class TorchSublayer:
    """What stands in a residual sum, and its norm; a recurrence has no `exit`.

    `kind` is "attention", "recurrence", "cross_attention" or "ffn"; `global_norm` is that of sums,
    where an encoder's attention has them (see `TorchReach`).
    """

    kind: str
    norm: TorchNorm
    entry: Product
    exit: Product | None
    global_norm: TorchNorm | None = None


@dataclass(frozen=True)
class TorchBlocks:
    """Blocks of `size` tokens, whose sums an encoder attends to.

    `relative [H,2 furthest + 1]` is the bias of each distance, in blocks.
    """

    size: int
    relative: Tensor


@dataclass(frozen=True)
class TorchReach:
    """How far attention reaches: to positions at `radius` or less, and to sums of `blocks`."""

    radius: int
    blocks: TorchBlocks | None


@dataclass(frozen=True)
class TorchStack:
    """The encoder or the decoder; `last` gives cross keys and values, or logits.

    `relative [H,2 furthest + 1]` is the bias of each distance, `head` the padded width of a head,
    and `reach` how far an encoder's attention reaches, if not to all of a source.
    """

    heads: int
    head: int
    embedding: Embedding
    relative: Tensor | None
    embedding_norm: TorchNorm | None
    final_norm: TorchNorm | None
    layers: list[list[TorchSublayer]]
    last: TorchProduct
    reach: TorchReach | None = None


@dataclass(frozen=True)
class Arrangement:
    """Where norms stand in a model's layers, and what feed-forward blocks compute."""

    activation: Activation
    pre_norm: bool
    gated: bool


@dataclass(frozen=True)
class TorchModel(Arrangement):
    """An encoder-decoder on `device`; keys and values are kept in `dtype`."""

    device: torch.device
    dtype: torch.dtype
    encoder: TorchStack
    decoder: TorchStack
    width: int
    vocabulary: int
    source_vocabulary: int
    max_positions: int
    recurrent: bool
    unplaced: int | None
    """The token that has no position, if there is one."""
    suppressed: Tensor
    shortlist: Shortlist | None
    source_parts: int = 1
    """Of each source this process keeps one part in so many."""


def widened(x: Tensor) -> Tensor:
    """`x` in FP32, or in FP64 if it is: what sums and norms are made in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
