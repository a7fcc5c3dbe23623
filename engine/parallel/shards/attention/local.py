"""Self-attention to what lies near by, and to sums, where each rank has a part of each source.

A rank needs few keys and values of its neighbours, and of sums of blocks those of all ranks: what
is sent does not grow with a source but for the sums.  See `LocalAttention`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.parallel.shards.attention.halo import Halo
from engine.parallel.shards.ranks import RankGroup
from engine.runtime.sessions.torch.attention.local import LocalAttention


@dataclass(frozen=True, kw_only=True)
class PartAttention(LocalAttention):
    """That of the spans that this rank has; `margin` is the halo's."""

    group: RankGroup
    halo: Halo

    def near(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """See `LocalAttention`."""
        count, heads, _, head = key.shape
        own = torch.stack((key.transpose(1, 2), value.transpose(1, 2)), dim=2).flatten(2)
        found = self.halo.around(own).view(count, -1, 2, heads, head)
        keys, values = found.permute(2, 0, 3, 1, 4)
        return keys, values

    def whole(self, sums: Tensor) -> Tensor:
        """See `LocalAttention`."""
        return self.group.all_reduce(sums)
