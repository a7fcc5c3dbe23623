"""A lane's state where the head is divided: the best tokens of all are found among the parts' best.

N rows, V tokens of all ranks, n suppressed ones.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.parallel.shards.division import Portion
from engine.parallel.shards.model import ShardedModel
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.model import TorchModel
from engine.runtime.sessions.torch.state import LaneState


class ShardedState(LaneState):
    """See `LaneState`; `logits` are of this rank's tokens."""

    def __init__(self, model: TorchModel, capacity: int, steps: int, device: TorchDevice) -> None:
        super().__init__(model, capacity, steps, device)
        assert isinstance(model, ShardedModel)
        self._tokens, self._group = model.tokens, model.ranks.tensor
        own = model.suppressed - model.tokens.first
        self._columns = ((own >= 0) & (own < model.tokens.size)).nonzero()[:, 0]
        self._own = own[self._columns]
        self._suppressed_here = torch.zeros_like(self.suppressed)

    def load(self, inputs: bytes, *, is_continued: bool) -> None:
        """Takes what another rank's state has told its device. See `told` and `upload`."""
        self._device.wait()  # what was told before may not be read yet
        written = self._written[self._turn]
        written[:] = np.frombuffer(inputs, np.int64).reshape(written.shape)
        self._send(self._hosts[self._turn], is_continued=is_continued)

    @property
    def told(self) -> bytes:
        """What the last `upload` told the device."""
        return self._written[self._turn].tobytes()

    def suppress(self, rows: int) -> None:
        """See `LaneState`: `select` and `whole_logits` find what other ranks' tokens have."""
        logits, here = self.logits[:rows], self._suppressed_here[:rows]
        here.index_copy_(1, self._columns, logits.index_select(1, self._own))
        logits.index_fill_(1, self._own, -torch.inf)

    def choose(self, rows: int) -> tuple[Tensor, Tensor]:
        """See `LaneState`."""
        if self._group.size == 1:
            return super().choose(rows)
        logits = self.logits[:rows]
        best, ids = logits.max(dim=1)
        # FP64 holds every token and every FP32.
        found = (best, ids + self._tokens.first, logits.logsumexp(dim=1))
        every = self._group.all_gather(torch.stack([one.double() for one in found], dim=1))
        highest, owner = every[..., 0].max(dim=0)
        tokens = every[..., 1].gather(0, owner[None])[0]
        return tokens.long(), (highest - every[..., 2].logsumexp(dim=0)).float()

    def select(self, rows: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """See `LaneState`; all ranks' suppressed logits are known then."""
        self._gather_suppressed(rows)
        if self._group.size == 1:
            return super().select(rows, count)
        some = min(count, self._tokens.size)
        ids, logits, total = kernels.select(self.logits[:rows], some)
        found = torch.full((rows, 2 * count + 1), torch.nan, dtype=torch.float64, device=ids.device)
        found[:, :some], found[:, count : count + some] = ids + self._tokens.first, logits
        found[:, -1] = total
        every = self._group.all_gather(found)
        tokens, values = (
            one.transpose(0, 1).flatten(1)
            for one in (every[..., :count], every[..., count : 2 * count])
        )
        # Equal ones stay in the order of ranks, which is that of tokens; what is missing is last.
        order = (0.0 - values).sort(dim=1, stable=True).indices[:, :count]
        chosen = tokens.gather(1, order).nan_to_num(nan=0).long()
        totals = every[..., -1].logsumexp(dim=0)
        return chosen, values.gather(1, order).float(), totals.float()

    def whole_logits(self, rows: int) -> Tensor:
        """The logits of all tokens, `[rows,V]`; every rank has to ask."""
        group, vocabulary = self._group, self.vocabulary
        self._gather_suppressed(rows)
        if group.size == 1:
            return self.logits[:rows]
        widest = -(-vocabulary // group.size)
        own = F.pad(self.logits[:rows], (0, widest - self._tokens.size))
        shares = [Portion.of(vocabulary, rank, group.size).size for rank in range(group.size)]
        every = group.all_gather(own)
        return torch.cat([part[:, :size] for part, size in zip(every, shares, strict=True)], dim=1)

    def _gather_suppressed(self, rows: int) -> None:
        """Each rank has 0 where others have a suppressed token's logit."""
        if self.suppressed.shape[1]:
            here = self._suppressed_here[:rows].clone()
            self.suppressed[:rows] = self._group.all_reduce(here)
