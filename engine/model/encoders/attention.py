"""Self-attention of encoders: with rotary or disentangled positions, or with neither."""

import torch
from torch import Tensor, nn

from engine.model.encoders.config import Disentangled, EncoderConfig
from engine.model.encoders.positions import distance_rows, rotate


class EncoderAttention(nn.Module):
    """Attention from a sequence to itself; the parameters' names are `layers.Attention`'s."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.block.heads
        self.scale = config.attention_scale
        self.rotary = config.positions == "rotary"
        self.disentangled = config.disentangled
        width = config.block.width
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        if (relative := config.disentangled) is not None and not relative.shared:
            if relative.c2p:
                self.position_key = nn.Linear(width, width)
            if relative.p2c:
                self.position_query = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor, positions: Tensor | None = None) -> Tensor:
        """Maps `x [B,S,D]`; `mask [B,1,1,S]` is added to the scores.

        `positions` are the rotary angles `[S,K]` or the table of distances `[R,D]`.
        """
        query = self._split(self.query(x)) * self.scale
        key, value = self._split(self.key(x)), self._split(self.value(x))
        if self.rotary:
            assert positions is not None
            query, key = rotate(query, positions), rotate(key, positions)
        scores = query @ key.transpose(2, 3)
        if self.disentangled is not None:
            assert positions is not None
            scores = scores + self._distance_scores(self.disentangled, query, key, positions)
        weights = torch.softmax(scores + mask, dim=-1)
        return self.output((weights @ value).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def distance_keys(self, relative: Disentangled, table: Tensor) -> Tensor:
        """A key for each row of the table of distances, `[H,R,K]`."""
        return self._split((self.key if relative.shared else self.position_key)(table)[None])[0]

    def distance_queries(self, relative: Disentangled, table: Tensor) -> Tensor:
        """A query for each row of the table of distances, `[H,R,K]`, scaled."""
        queries = (self.query if relative.shared else self.position_query)(table) * self.scale
        return self._split(queries[None])[0]

    def _distance_scores(
        self, relative: Disentangled, query: Tensor, key: Tensor, table: Tensor
    ) -> Tensor:
        """What the distances add to the scores, `[B,H,S,S]` (section 3.1 of arXiv:2006.03654)."""
        length = query.shape[2]
        rows = distance_rows(relative, length).expand(*query.shape[:2], length, length)
        scores = torch.zeros(())
        if relative.c2p:
            every = query @ self.distance_keys(relative, table).transpose(1, 2)
            scores = scores + every.gather(3, rows)
        if relative.p2c:
            every = key @ self.distance_queries(relative, table).transpose(1, 2)
            scores = scores + every.gather(3, rows.transpose(2, 3)).transpose(2, 3)
        return scores

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)
