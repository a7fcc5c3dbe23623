"""The encoder-decoder Transformer, plain enough to be the oracle of every exported graph.

Shapes: B rows, S source positions, T target positions, D = `d_model`, V = `vocab_size`.
Attention is two matrix products and a softmax: PyTorch's fused kernel has a backward pass that
takes 40 % of a training step on a CPU.  Dropout stands where the article has it, on the embeddings
and on each sub-layer's output: PyTorch draws random numbers on one core, and more of it took 27 %
of a step.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.model.config import ModelConfig

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
}


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """Position table `[length, width]`: sines in the first half, cosines in the second.

    Section 3.5 of arXiv:1706.03762, in the layout that Marian and Pegasus use.
    """
    position = torch.arange(length, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(1e4) / width))
    angles = position * rate
    return torch.cat([angles.sin(), angles.cos()[:, : width // 2]], dim=1).float()


class Attention(nn.Module):
    """Multi-head attention with biases (section 3.2 of arXiv:1706.03762)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Attends from `x [B,T,D]` to `memory [B,S,D]`; `mask` is additive, `[B|1,1,T|1,S]`."""
        query = self._split(self.query(x)) / math.sqrt(x.shape[-1] // self.heads)
        key, value = self._split(self.key(memory)), self._split(self.value(memory))
        weights = torch.softmax((query @ key.transpose(2, 3)).float() + mask, dim=-1)
        context = (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        return self.output(context)  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear maps with an activation between (section 3.3 of arXiv:1706.03762)."""

    def __init__(self, width: int, hidden: int, config: ModelConfig) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.activation: Callable[[Tensor], Tensor] = _ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B,T,D]` to `[B,T,D]`."""
        return self.down(self.activation(self.up(x)))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """The residual sum around a sub-layer, with its LayerNorm before or after it."""

    def __init__(self, sublayer: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.sublayer = sublayer
        self.norm = nn.LayerNorm(config.d_model)
        self.pre = config.norm == "pre"
        self.dropout = config.dropout

    def forward(self, x: Tensor, *context: Tensor | None) -> Tensor:
        """Applies the sub-layer; a `None` in `context` stands for its own (normed) input."""
        inner = self.norm(x) if self.pre else x
        arguments = [inner if item is None else item for item in context]
        x = x + F.dropout(self.sublayer(inner, *arguments), self.dropout, self.training)
        return x if self.pre else self.norm(x)


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.d_model
        self.attention = Residual(Attention(width, config.encoder_heads), config)
        self.ffn = Residual(FeedForward(width, config.encoder_ffn, config), config)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Maps `[B,S,D]` to `[B,S,D]`."""
        return self.ffn(self.attention(x, None, mask))  # type: ignore[no-any-return]


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention and feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, heads = config.d_model, config.decoder_heads
        self.attention = Residual(Attention(width, heads), config)
        self.cross_attention = Residual(Attention(width, heads), config)
        self.ffn = Residual(FeedForward(width, config.decoder_ffn, config), config)

    def forward(self, x: Tensor, causal: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Maps `[B,T,D]` to `[B,T,D]`, given the encoder's `memory [B,S,D]`."""
        x = self.attention(x, None, causal)
        return self.ffn(self.cross_attention(x, memory, mask))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """The encoder-decoder; input and output embeddings are one matrix."""

    positions: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        pre = config.norm == "pre"
        self.encoder_norm = nn.LayerNorm(config.d_model) if pre else nn.Identity()
        self.decoder_norm = nn.LayerNorm(config.d_model) if pre else nn.Identity()
        bias = torch.zeros(config.vocab_size) if config.output_bias else None
        self.output_bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        table = sinusoidal_positions(config.max_positions, config.d_model)
        self.register_buffer("positions", table, persistent=False)

    def initialise(self) -> None:
        """Xavier weights, zero biases, embeddings N(0, 1/D): these train, std 0.02 did not."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.embedding.weight, std=self.config.d_model**-0.5)

    def encode(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Encodes `input_ids [B,S]`; `mask [B,S]` is true on real tokens. Returns `[B,S,D]`."""
        additive = additive_mask(mask)
        x = self._embed(input_ids)
        for layer in self.encoder:
            x = layer(x, additive)
        return self.encoder_norm(x)  # type: ignore[no-any-return]

    def decode(self, target_ids: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Logits `[B,T,V]` for the token after each of `target_ids [B,T]`."""
        length = target_ids.shape[1]
        causal = additive_mask(torch.ones(length, length, device=mask.device).tril().bool()[None])
        additive = additive_mask(mask)
        x = self._embed(target_ids)
        for layer in self.decoder:
            x = layer(x, causal, memory, additive)
        logits = F.linear(self.decoder_norm(x), self.embedding.weight)
        return logits if self.output_bias is None else logits + self.output_bias

    def forward(self, input_ids: Tensor, mask: Tensor, target_ids: Tensor) -> Tensor:
        """Logits `[B,T,V]`, teacher-forced."""
        return self.decode(target_ids, self.encode(input_ids, mask), mask)

    def _embed(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) * self.config.embedding_scale + self.positions[: ids.shape[1]]
        return F.dropout(x, self.config.dropout, self.training)


def additive_mask(mask: Tensor) -> Tensor:
    """Turns a boolean `[B,S]` or `[1,T,S]` into `0` / `-inf` of shape `[B,1,1,S]` / `[1,1,T,S]`."""
    rank3 = mask[:, None] if mask.dim() == 2 else mask
    zeros = torch.zeros(rank3.shape, device=mask.device)
    return zeros.masked_fill(~rank3, float("-inf"))[:, None]
