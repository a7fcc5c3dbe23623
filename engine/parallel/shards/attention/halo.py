"""What lies near by a rank's part of sources, and other ranks have.

B sources, C positions of a part, M positions of the margin on either side.
"""

from itertools import accumulate

import torch
from torch import Tensor

from engine.parallel.shards.parts import SourceParts
from engine.parallel.shards.ranks import RankGroup


class Halo:
    """The positions at `radius` or less from a part of `width`, on the ranks before and behind it.

    Ranks send each other their last and first positions: `radius` of them to the next ranks; where
    parts are shorter all of those, and to ranks further away what is missing then.
    """

    def __init__(self, parts: SourceParts, group: RankGroup, width: int, radius: int) -> None:
        self._group = group
        self.margin = min(radius, (group.size - 1) * width)
        each = parts.each[:, None]
        self._sizes = _sizes(each, group.size, radius)
        self._last = [_last(each, size) for size in self._sizes]
        wanted = torch.arange(-self.margin, width + self.margin, device=each.device)
        self._index = self._index_of(group.rank * each + wanted, each, width)

    def around(self, own: Tensor) -> Tensor:
        """Vectors of this rank's positions `[B,C,n]` with those around: `[B,M + C + M,n]`.

        They stand in the order of a source's positions.  Where it has none, stands any of them.
        """
        edges = [
            (own[:, :size], _picked(own, last))
            for size, last in zip(self._sizes, self._last, strict=True)
        ]
        found = self._group.exchange(edges)
        before, behind = [one for one, _ in found], [one for _, one in found]
        return _picked(torch.cat([*reversed(before), own, *behind], dim=1), self._index)

    def _index_of(self, wanted: Tensor, each: Tensor, width: int) -> Tensor:
        """Where in what is joined the `wanted [B,n]` positions of sources are."""
        furthest = len(self._sizes)
        sizes = [*reversed(self._sizes), width, *self._sizes]
        begins = torch.tensor([0, *accumulate(sizes)], device=each.device)
        owner = wanted // each
        step = (owner - self._group.rank).clamp(-furthest, furthest)
        place, number = wanted - owner * each, step + furthest
        # Of ranks before this one the last positions are there, of those behind the first.
        missing = (each - torch.tensor(sizes, device=each.device)[number]) * (step < 0)
        return (begins[number] + place - missing).clamp(0, sum(sizes) - 1)


def _sizes(each: Tensor, ranks: int, radius: int) -> list[int]:
    """How many positions ranks at each distance send each other, while there are any.

    Parts have `each [B,1]` positions: so many of the wanted ones each nearer rank has sent.
    """
    nearer = each * torch.arange(ranks - 1, device=each.device)
    sizes: list[int] = (radius - nearer).minimum(each).amax(dim=0).tolist()
    return [size for size in sizes if size > 0]


def _last(each: Tensor, size: int) -> Tensor:
    """The last positions of parts that have `each [B,1]`, `[B,size]`; the first ones stand in."""
    return (each - size + torch.arange(size, device=each.device)).clamp(min=0)


def _picked(rows: Tensor, index: Tensor) -> Tensor:
    """Those of `rows [B,S,n]` that `index [B,m]` says, `[B,m,n]`."""
    return rows[torch.arange(rows.shape[0], device=rows.device)[:, None], index]
