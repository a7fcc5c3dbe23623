"""A pre-norm encoder with a head on its first token, as XLM-RoBERTa-XL has it.

XLM-RoBERTa-XL: Goyal et al. 2021 (arXiv:2105.00572).  Positions are sinusoids here, and embeddings
are scaled as in our encoder-decoder, whose encoder this one can start from.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.model.config import ModelConfig
from engine.model.transformer import (
    EncoderLayer,
    Transformer,
    additive_mask,
    sinusoidal_positions,
)


class FirstTokenClassifier(nn.Module):
    """Maps `input_ids [B,S]` to one logit per label `[B,L]`."""

    positions: Tensor

    def __init__(self, config: ModelConfig, labels: int) -> None:
        super().__init__()
        if config.norm != "pre":
            raise ValueError('Only an encoder with norm = "pre" can be a classifier.')
        self.config = config
        width = config.d_model
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.encoder_norm = nn.LayerNorm(width)
        self.dense = nn.Linear(width, width)
        self.output = nn.Linear(width, labels)
        table = sinusoidal_positions(config.max_positions, width)
        self.register_buffer("positions", table, persistent=False)

    def initialise(self) -> None:
        """Xavier weights, zero biases, embeddings N(0, 1/D)."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.embedding.weight, std=self.config.d_model**-0.5)

    def load_encoder(self, other: Transformer) -> None:
        """Takes over the encoder of `other`, whose vocabulary is the start of this one.

        Tokens that `other` lacks start as its end of sequence, the token that means no word.
        """
        state = other.state_dict()
        own = self.state_dict()
        rows = state["embedding.weight"]
        own["embedding.weight"][:] = rows[other.config.eos_id]
        own["embedding.weight"][: len(rows)] = rows
        for name in own:
            if name.startswith("encoder"):
                own[name] = state[name]
        self.load_state_dict(own)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Logits `[B,L]`; `mask [B,S]` is true on real tokens."""
        config = self.config
        x = self.embedding(input_ids) * config.embedding_scale
        x = F.dropout(x + self.positions[: input_ids.shape[1]], config.dropout, self.training)
        additive = additive_mask(mask)
        for layer in self.encoder:
            x = layer(x, additive)
        first = F.dropout(self.encoder_norm(x)[:, 0], config.dropout, self.training)
        hidden = F.dropout(torch.tanh(self.dense(first)), config.dropout, self.training)
        return self.output(hidden)  # type: ignore[no-any-return]
