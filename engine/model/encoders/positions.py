"""Positions that attention itself knows of: rotary angles, and rows of a table of distances."""

import torch
from torch import Tensor

from engine.model.encoders.config import Disentangled, EncoderConfig


def rotary_frequencies(config: EncoderConfig) -> Tensor:
    """The angle per position of each pair of a head's dimensions, `[K/2]` (arXiv:2104.09864)."""
    width = config.block.head_width
    exponents = torch.arange(0, width, 2, dtype=torch.float, device="cpu") / width
    return 1.0 / (config.rotary_base**exponents)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotates `x [B,H,S,K]` by `angles [S,K]`; the pairs are one half and the other."""
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()


def distance_rows(relative: Disentangled, length: int) -> Tensor:
    """The row of the table for each query and key, INT64 `[length,length]`."""
    places = torch.arange(length)
    distances = places[:, None] - places[None, :]
    if relative.buckets:
        distances = _log_buckets(distances, relative.buckets, relative.max_distance)
    return (distances + relative.span).clamp(0, 2 * relative.span - 1)


def _log_buckets(distances: Tensor, buckets: int, max_distance: int) -> Tensor:
    """Small distances as they are, large ones in logarithmic steps; the sign stays.

    DeBERTa-v2's buckets, computed in float32 as there: a step's edge depends on it.
    """
    middle = buckets // 2
    size = torch.where(distances.abs() < middle, torch.tensor(middle - 1), distances.abs())
    steps = torch.log(size / middle) / torch.log(torch.tensor((max_distance - 1) / middle))
    far = torch.ceil(steps * (middle - 1)) + middle
    near = size <= middle
    return torch.where(near, distances.float(), far * torch.sign(distances)).long()
