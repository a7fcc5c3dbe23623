"""Which positions of sources are computed together."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SourceSpans:
    """Of sources with `lengths [B]` the positions from `starts [B]` on, before `ends [B]`.

    `longest` is the length of the longest source, or more.
    """

    lengths: Tensor
    starts: Tensor
    ends: Tensor
    longest: int

    @classmethod
    def whole(cls, lengths: Tensor, longest: int) -> "SourceSpans":
        """All positions of sources."""
        return cls(lengths, torch.zeros_like(lengths), lengths, longest)

    def places(self, block: slice) -> Tensor:
        """The positions `[B,n]` of a block that is counted from `starts` on, also before those."""
        return self.starts[:, None] + torch.arange(
            block.start, block.stop, device=self.starts.device
        )

    def outside(self, places: Tensor) -> Tensor:
        """Which `places [B,n]` are not of their source."""
        return (places < 0) | (places >= self.lengths[:, None])
