"""An encoder with a classification or span head, plain enough to be the oracle of its graph.

Shapes: B rows, S positions, D the width, H heads of width K, R rows of a table of distances.
"""

import torch
from torch import Tensor, nn

from engine.model.encoders.attention import EncoderAttention
from engine.model.encoders.config import EncoderConfig, HeadKind
from engine.model.encoders.positions import rotary_frequencies
from engine.model.layers import ACTIVATIONS, FeedForward, Residual, additive_mask


class EncoderModelLayer(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = Residual(EncoderAttention(config), config.block)
        self.ffn = Residual(FeedForward(config.block), config.block)

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """Maps `[B,S,D]` to `[B,S,D]`; see `EncoderAttention` for the context."""
        return self.ffn(self.attention(x, *context))  # type: ignore[no-any-return]


class EncoderModel(nn.Module):
    """The encoder and its head, which gives `labels` logits for a text or 2 for each token."""

    def __init__(self, config: EncoderConfig, head: HeadKind, labels: int) -> None:
        super().__init__()
        self.config, self.head, self.labels = config, head, labels
        width, narrow, epsilon = (
            config.block.width,
            config.embedding_width,
            config.block.norm_epsilon,
        )
        self.embedding = nn.Embedding(config.vocab_size, narrow)
        if config.positions == "learned":
            self.positions = nn.Embedding(config.max_positions, narrow)
        if config.positions == "rotary":
            self.register_buffer("frequencies", rotary_frequencies(config))
        if config.token_types:
            self.token_types = nn.Embedding(config.token_types, narrow)
        if config.embedding_norm != "none":
            normed = narrow if config.embedding_norm == "before" else width
            self.embedding_norm = nn.LayerNorm(normed, epsilon)
        if config.projection != "none":
            self.projection = nn.Linear(narrow, width, bias=config.projection == "biased")
        if (relative := config.disentangled) is not None:
            self.distances = nn.Embedding(2 * relative.span, width)
            if relative.norm:
                self.distances_norm = nn.LayerNorm(width, epsilon)
        self.layers = nn.ModuleList(EncoderModelLayer(config) for _ in range(config.blocks))
        if config.block.norm == "pre":
            self.final_norm = nn.LayerNorm(width, epsilon)
        if head == "classification":
            self.head_dense = nn.Linear(width, width)
        self.head_output = nn.Linear(width, labels)

    def forward(self, input_ids: Tensor, mask: Tensor, token_types: Tensor) -> Tensor:
        """Logits `[B,labels]`, or `[B,S,2]` of a span head.

        `input_ids` and `token_types [B,S]` are INT64, `mask [B,S]` is true on tokens, which come
        before the padding.
        """
        x = self._embed(input_ids, mask, token_types)
        context = [additive_mask(mask), *self.shared_positions(input_ids.shape[1])]
        for layer in self.config.order:
            x = self.layers[layer](x, *context)
        if self.config.block.norm == "pre":
            x = self.final_norm(x)
        if self.head == "spans":
            return self.head_output(x)  # type: ignore[no-any-return]
        first = ACTIVATIONS[self.config.head_activation](self.head_dense(x[:, 0]))
        return self.head_output(first)  # type: ignore[no-any-return]

    def shared_positions(self, length: int) -> list[Tensor]:
        """What every layer's attention is told: rotary angles, the table of distances, or none."""
        if self.config.positions == "rotary":
            angles = torch.arange(length)[:, None].float() * self.get_buffer("frequencies")
            return [torch.cat([angles, angles], dim=1)]
        if (relative := self.config.disentangled) is None:
            return []
        table: Tensor = self.distances.weight
        return [self.distances_norm(table) if relative.norm else table]

    def _embed(self, input_ids: Tensor, mask: Tensor, token_types: Tensor) -> Tensor:
        config = self.config
        x: Tensor = self.embedding(input_ids)
        if (dropout := config.token_dropout) is not None:
            dropped = input_ids == dropout.mask_id
            x = x.masked_fill(dropped[..., None], 0.0)
            ratio = dropped.sum(1).float() / mask.sum(1)
            x = x * ((1 - dropout.training_ratio) / (1 - ratio))[:, None, None]
        if config.positions == "learned":
            start = config.position_offset
            x = x + self.positions.weight[start : start + input_ids.shape[1]]
        if config.token_types:
            x = x + self.token_types(token_types)
        if config.embedding_norm == "before":
            x = self.embedding_norm(x)
        if config.projection != "none":
            x = self.projection(x)
        return self.embedding_norm(x) if config.embedding_norm == "after" else x
