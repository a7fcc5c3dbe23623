"""Random products with INT8 weights."""

import torch
from torch import Tensor


def random_parts(rows: int, depth: int, width: int) -> tuple[Tensor, ...]:
    """`x`, `inputs`, `weight`, `scales` and `bias` of a product; results are about 1."""
    torch.manual_seed(rows + depth + width)
    weight = torch.randint(-128, 128, (width, depth), dtype=torch.int8)
    inputs, scales = 20 + 20 * torch.rand(depth), torch.rand(width) / (2000 * depth**0.5)
    return torch.randn(rows, depth), inputs, weight, scales, torch.randn(width)
