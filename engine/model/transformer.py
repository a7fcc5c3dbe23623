"""The encoder-decoder Transformer, plain enough to be the oracle of every exported graph.

Shapes: B rows, S source positions, T target positions, D = `d_model`, V = `vocab_size`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.model.config import ModelConfig
from engine.model.encoders.long_attention import LongAttention, LongMask
from engine.model.layers import DecoderBlock, EncoderBlock, additive_mask, make_norm
from engine.model.positions import RelativeBias, position_table, sinusoidal_positions

__all__ = ["DecoderLayer", "EncoderLayer", "Transformer", "additive_mask", "sinusoidal_positions"]


class EncoderLayer(EncoderBlock):
    """A layer of the encoder that a `ModelConfig` describes."""

    def __init__(self, config: ModelConfig) -> None:
        is_long = config.encoder_attention != "full"
        super().__init__(config.encoder_block, LongAttention(config) if is_long else None)


class DecoderLayer(DecoderBlock):
    """A layer of the decoder that a `ModelConfig` describes."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.decoder_block, config.decoder_unit)


class Transformer(nn.Module):
    """The encoder-decoder; the decoder, and the head if it is tied, share one embedding matrix.

    So does the encoder, unless sources have a vocabulary of their own, `source_embedding`.
    `positions` is the table of sinusoids; a checkpoint that brings its own may replace it.
    """

    positions: Tensor | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        rows = config.source_vocab_size
        self.source_embedding = nn.Embedding(rows, config.d_model) if rows else None
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.encoder_norm = self._norm(config.norm == "pre")
        self.decoder_norm = self._norm(config.norm == "pre")
        self.encoder_embedding_norm = self._norm(config.embedding_norm)
        self.decoder_embedding_norm = self._norm(config.embedding_norm)
        bias = torch.zeros(config.vocab_size) if config.output_bias else None
        self.output_bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.head = (
            None if config.tied_head else nn.Linear(config.d_model, config.vocab_size, bias=False)
        )
        self._make_positions()

    def _norm(self, wanted: bool) -> nn.Module:
        return make_norm(self.config.encoder_block) if wanted else nn.Identity()

    def _make_positions(self) -> None:
        config = self.config
        fixed = config.positions in ("sinusoidal", "shifted_sinusoidal")
        table = position_table(config) if fixed else None
        self.register_buffer("positions", table, persistent=False)
        if config.positions == "learned":
            self.encoder_positions = nn.Embedding(config.max_positions, config.d_model)
            self.decoder_positions = nn.Embedding(config.max_positions, config.d_model)
        if config.positions == "relative":
            self.encoder_bias = RelativeBias(config, config.encoder_heads, bidirectional=True)
            self.decoder_bias = RelativeBias(config, config.decoder_heads, bidirectional=False)
        self.encoder_global_bias = (
            RelativeBias(config, config.encoder_heads, bidirectional=True)
            if config.has_globals
            else None
        )

    def initialise(self) -> None:
        """Xavier weights, zero biases, embeddings N(0, 1/D): these train, std 0.02 did not."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for table in (self.embedding, self.source_embedding):
            if table is not None:
                nn.init.normal_(table.weight, std=self.config.d_model**-0.5)

    @property
    def head_weight(self) -> Tensor:
        """What the decoder's output is multiplied by, `[V,D]`, its scale not included."""
        return self.embedding.weight if self.head is None else self.head.weight

    def embedding_of(self, decoder: bool) -> nn.Embedding:
        """The table that a stack looks its tokens up in."""
        own = None if decoder else self.source_embedding
        return self.embedding if own is None else own

    def position_rows(self, decoder: bool) -> Tensor | None:
        """The table that a stack adds to its embeddings, `[max_positions,D]`; None: relative."""
        if self.config.positions == "learned":
            return (self.decoder_positions if decoder else self.encoder_positions).weight
        return self.positions

    def encode(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Encodes `input_ids [B,S]`; `mask [B,S]` is true on real tokens. Returns `[B,S,D]`."""
        x = self._embed(input_ids, decoder=False)
        seen = self._source_mask(mask)
        for layer in self.encoder:
            x = layer(x, seen)
        return self.encoder_norm(x)  # type: ignore[no-any-return]

    def _source_mask(self, mask: Tensor) -> Tensor | LongMask:
        """What the encoder's layers take for `mask [B,S]`."""
        if self.config.encoder_attention != "full":
            return LongMask(mask, self.encoder_bias, self.encoder_global_bias)
        additive = additive_mask(mask)
        if self.config.positions == "relative":
            additive = additive + self.encoder_bias(mask.shape[1])
        return additive

    def decode(self, target_ids: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Logits `[B,T,V]` for the token after each of `target_ids [B,T]`."""
        length = target_ids.shape[1]
        causal = additive_mask(torch.ones(length, length, device=mask.device).tril().bool()[None])
        if self.config.positions == "relative":
            causal = causal + self.decoder_bias(length)
        additive = additive_mask(mask)
        x = self._embed(target_ids, decoder=True)
        for layer in self.decoder:
            x = layer(x, causal, memory, additive)
        x = self.decoder_norm(x)
        if self.config.scale_head:
            x = x * self.config.d_model**-0.5
        logits = F.linear(x, self.head_weight)
        return logits if self.output_bias is None else logits + self.output_bias

    def forward(self, input_ids: Tensor, mask: Tensor, target_ids: Tensor) -> Tensor:
        """Logits `[B,T,V]`, teacher-forced."""
        return self.decode(target_ids, self.encode(input_ids, mask), mask)

    def _embed(self, ids: Tensor, decoder: bool) -> Tensor:
        x = self.embedding_of(decoder)(ids) * self.config.embedding_scale
        table = self.position_rows(decoder)
        if table is not None:
            rows = table[: ids.shape[1]]
            if self.config.positions == "shifted_sinusoidal":
                rows = rows * (ids != self.config.pad_id).unsqueeze(2)
            x = x + rows
        x = (self.decoder_embedding_norm if decoder else self.encoder_embedding_norm)(x)
        return F.dropout(x, self.config.dropout, self.training)
