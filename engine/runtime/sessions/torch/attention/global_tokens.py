"""Sums of blocks of a source, which its tokens attend to beside what lies near by.

"Transient global" attention (Guo et al. 2022, arXiv:2112.07916, section 3.2.2): each layer makes
them of what it reads, so they need no memory.  B sources, C positions of a part, D the model's
width, G blocks of the longest source, H heads, Q queries.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.runtime.sessions.torch.attention.distances import bias_line
from engine.runtime.sessions.torch.attention.spans import SourceSpans
from engine.runtime.sessions.torch.model import TorchBlocks, widened


@dataclass(frozen=True)
class GlobalTokens:
    """Those of the sources of `spans`: for each its full blocks, none if it is shorter than one.

    What lies behind the last full block belongs to that.  `count` is G, 1 or more.
    """

    blocks: TorchBlocks
    spans: SourceSpans
    count: int

    def sums(self, x: Tensor) -> Tensor:
        """What parts `x [B*C,D]` add to the blocks of their sources: `[B,G,D]`, FP32 or wider.

        Vectors behind a part's end count nowhere.  Where a source has no such block, stand any
        numbers.
        """
        rows, sources = x.shape[0], self.spans.starts.shape[0]
        starts, ends = self.spans.starts[:, None], self.spans.ends[:, None]
        # A bag ends where the next one begins: the last one of each source is of no block.
        places = torch.arange(self.count + 1, device=x.device)
        begins = (places * self.blocks.size).maximum(starts).minimum(ends)
        begins = begins.where(places < self._owners, ends) - starts
        begins += rows // sources * torch.arange(sources, device=x.device)[:, None]
        every = torch.arange(rows, device=x.device)
        bags = F.embedding_bag(every, widened(x), begins.flatten(), mode="sum")
        return bags.view(sources, self.count + 1, -1)[:, :-1]

    def bias(self, places: Tensor) -> Tensor:
        """What is added to scores of queries at `places [B,Q]`: `[B,H,Q,G]`, -inf for no block."""
        own = (places // self.blocks.size).minimum(self._owners - 1)
        distances = torch.arange(2 * self.count - 1, device=own.device) - (self.count - 1)
        # Queries of one block see the same window of a line by distance.
        windows = bias_line(self.blocks.relative, distances).unfold(-1, self.count, 1)
        biases = windows[:, self.count - 1 - own].transpose(0, 1)
        missing = torch.arange(self.count, device=own.device) >= self._full
        return biases.masked_fill_(missing[:, None, None], -torch.inf)

    @property
    def _full(self) -> Tensor:
        """How many full blocks sources have, `[B,1]`."""
        return self.spans.lengths[:, None] // self.blocks.size

    @property
    def _owners(self) -> Tensor:
        """How many blocks own tokens, `[B,1]`: what is shorter than a block has one, unseen."""
        return self._full.clamp(min=1)
