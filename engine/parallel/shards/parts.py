"""Which positions of sources each of some ranks has.

A source of L positions is cut in parts of ceil(L / ranks), one behind the other, whatever it is
batched with: the last ones are shorter, or empty.  B sources, C positions of a part.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SourceParts:
    """The parts of sources with `lengths [B]`, each 1 or more, on so many ranks."""

    lengths: Tensor
    ranks: int

    @property
    def each(self) -> Tensor:
        """The positions of a source's longest part, `[B]`."""
        return (self.lengths + self.ranks - 1) // self.ranks

    def sizes(self, rank: int) -> Tensor:
        """How many positions of each source a rank has, `[B]`."""
        return (self.lengths - rank * self.each).clamp(min=0).minimum(self.each)

    def places(self, rank: int, width: int) -> Tensor:
        """The positions `[B,width]` of a rank's part, counted on behind its end."""
        start = rank * self.each
        return start[:, None] + torch.arange(width, device=start.device)

    def has(self, rank: int, width: int) -> Tensor:
        """Which of these are of the source, `[B,width]`."""
        return torch.arange(width, device=self.lengths.device) < self.sizes(rank)[:, None]

    def whole(self, every: Tensor) -> Tensor:
        """What all ranks' parts `[ranks,B,H,C]` are as whole sources, `[B,H,ranks*C]`, then 0."""
        ranks, count, heads, width = every.shape
        places = torch.arange(ranks * width, device=every.device)
        each = self.each[:, None]
        part, place = places // each, places % each
        index = (part * width + place).clamp(max=ranks * width - 1)
        found = every.permute(1, 2, 0, 3).flatten(2)
        index = index[:, None].expand(count, heads, -1)
        return found.gather(2, index).masked_fill((places >= self.lengths[:, None])[:, None], 0)
