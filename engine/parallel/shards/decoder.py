"""A step of the decoder whose rows' sources are divided: each rank attends to what it has.

N rows, H this rank's heads, K their width, S the positions that it has of sources.
"""

import torch
from torch import Tensor

from engine.parallel.shards.attention.softmax import attend_part, merged, scores_of
from engine.parallel.shards.model import ShardedModel
from engine.parallel.shards.parts import SourceParts
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.decoder import DecoderStep
from engine.runtime.sessions.torch.model import TorchModel, TorchSublayer


class ShardedStep(DecoderStep):
    """See `DecoderStep`; `cross` holds this rank's positions, and `seen` gets those of all."""

    def __init__(
        self, model: TorchModel, own: Tensor, cross: Tensor, seen: list[Tensor] | None = None
    ) -> None:
        super().__init__(model, own, cross, seen)
        assert isinstance(model, ShardedModel)
        self._ranks = model.ranks

    def _attend_source(
        self, sublayer: TorchSublayer, layer: int, lengths: Tensor, x: Tensor
    ) -> Tensor:
        assert sublayer.exit is not None
        stack, group = self.model.decoder, self._ranks.sequence
        query = sublayer.entry(x).view(x.shape[0], stack.heads, stack.head)
        keys, values = self.cross[2 * layer], self.cross[2 * layer + 1]
        if group.size == 1 and self.seen is None:
            return sublayer.exit(kernels.attend(query, keys, values, lengths))
        parts = SourceParts(lengths, group.size)
        has = parts.has(group.rank, keys.shape[2])[:, None, None]
        hidden = torch.zeros(has.shape, device=x.device).masked_fill_(~has, -torch.inf)
        own, own_sum = attend_part(query[:, :, None], keys, values, hidden)
        every = group.all_gather(torch.cat((own, own_sum), dim=-1))
        context, total = merged(every[..., :-1], every[..., -1:])
        if self.seen is not None:
            scores = scores_of(query[:, :, None], keys) + hidden
            weights = group.all_gather((scores - total).exp()[:, :, 0])
            heads = self._ranks.tensor.all_gather(parts.whole(weights))
            self.seen.append(heads.transpose(0, 1).flatten(1, 2))
        return sublayer.exit(context[:, :, 0].flatten(1).to(keys.dtype))
