"""Positions: tables of sinusoids, and the relative distances that T5 learns a bias for."""

import math

import torch
from torch import Tensor, nn

from engine.model.config import ModelConfig


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """Position table `[length, width]`: sines in the first half, cosines in the second.

    Section 3.5 of arXiv:1706.03762, in the layout that Marian and Pegasus use. Like all tables
    here it has values also where a model is made without any, on the device "meta".
    """
    position = torch.arange(length, dtype=torch.float64, device="cpu")[:, None]
    steps = torch.arange(0, width, 2, dtype=torch.float64, device="cpu")
    rate = torch.exp(steps * (-math.log(1e4) / width))
    angles = position * rate
    return torch.cat([angles.sin(), angles.cos()[:, : width // 2]], dim=1).float()


def shifted_sinusoidal_positions(length: int, width: int, offset: int) -> Tensor:
    """Position table `[length, width]` of tensor2tensor and fairseq, from position `offset` on.

    Its slowest sinusoid has the wavelength 2 pi 10,000 exactly, where the article's stops short
    of it.  Computed in float32, like the table of `transformers`' M2M100.
    """
    half = width // 2
    rate = torch.exp(torch.arange(half, device="cpu").float() * -(math.log(1e4) / (half - 1)))
    angles = torch.arange(offset, offset + length, device="cpu").float()[:, None] * rate
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.nn.functional.pad(table, (0, width % 2))


def position_table(config: ModelConfig) -> Tensor:
    """The fixed table `[max_positions, d_model]` of a model whose positions are sinusoids."""
    if config.positions == "shifted_sinusoidal":
        return shifted_sinusoidal_positions(
            config.max_positions, config.d_model, config.position_offset
        )
    return sinusoidal_positions(config.max_positions, config.d_model)


def relative_buckets(distance: Tensor, bidirectional: bool, buckets: int, furthest: int) -> Tensor:
    """The bucket of each `distance` (position attended to, less the one that attends).

    Half of the buckets are for one distance each, the others grow up to `furthest` as logarithms
    do (section 2.1 of arXiv:1910.10683).  A model that looks both ways has half for either side.
    """
    bucket = torch.zeros_like(distance)
    if bidirectional:
        buckets //= 2
        bucket = (distance > 0).long() * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    share = torch.log(distance.clamp(min=1).float() / exact) / math.log(furthest / exact)
    large = (exact + (share * (buckets - exact)).long()).clamp(max=buckets - 1)
    return bucket + torch.where(distance < exact, distance, large)


class RelativeBias(nn.Module):
    """A learned bias on the scores of each head, by the bucket of the relative distance."""

    def __init__(self, config: ModelConfig, heads: int, bidirectional: bool) -> None:
        super().__init__()
        self.bias = nn.Embedding(config.relative_buckets, heads)
        self.bidirectional = bidirectional
        self.furthest = config.relative_distance

    def forward(self, length: int) -> Tensor:
        """The bias `[1,H,length,length]` of each position towards each."""
        position = torch.arange(length, device=self.bias.weight.device)
        return self.by_distance(position[None] - position[:, None]).permute(2, 0, 1)[None]

    def by_distance(self, distance: Tensor) -> Tensor:
        """The bias `[*, H]` of each distance in `distance [*]`.

        All distances of `furthest` or more on one side are in one bucket.
        """
        buckets = self.bias.num_embeddings
        bucket = relative_buckets(distance, self.bidirectional, buckets, self.furthest)
        return self.bias(bucket)  # type: ignore[no-any-return]
