"""The blocks that encoder-decoders and encoders share.

Shapes: B rows, S source positions, T target positions, D = `width`, H heads, K = `head_width`.
Attention is two matrix products and a softmax: PyTorch's fused kernel has a backward pass that
takes 40 % of a training step on a CPU.  Dropout stands where the article has it, on the embeddings
and on each sub-layer's output: PyTorch draws random numbers on one core, and more of it took 27 %
of a step.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.model.config import Activation, BlockConfig, DecoderUnit

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
}


class Attention(nn.Module):
    """Multi-head attention (section 3.2 of arXiv:1706.03762)."""

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.scale = 1 / math.sqrt(config.head_width) if config.scale_attention else 1.0
        width, inner = config.width, config.heads * config.head_width
        self.query = nn.Linear(width, inner, bias=config.bias)
        self.key = nn.Linear(width, inner, bias=config.bias)
        self.value = nn.Linear(width, inner, bias=config.bias)
        self.output = nn.Linear(inner, width, bias=config.bias)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Attends from `x [B,T,D]` to `memory [B,S,D]`.

        `mask` is added to the scores, `[B|1,1|H,T|1,S]`; it may hold a bias by position, too.
        """
        query = self._split(self.query(x)) * self.scale
        key, value = self._split(self.key(memory)), self._split(self.value(memory))
        weights = torch.softmax((query @ key.transpose(2, 3)).float() + mask, dim=-1)
        context = (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        return self.output(context)  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class SimpleRecurrentUnit(nn.Module):
    """The simpler simple recurrent unit, SSRU (section 3 of D19-5632, Kim et al. 2019).

    f = sigmoid(W_f x + b_f), c_t = f c_(t-1) + (1 - f) W x, and the output is relu(c_t). Its state
    is one vector `c`, zeros before the first token.
    """

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        self.input = nn.Linear(config.width, config.width, bias=False)
        self.forget = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, _mask: Tensor) -> Tensor:
        """Maps `[B,T,D]` to `[B,T,D]`."""
        new, kept = self.input(x), torch.sigmoid(self.forget(x))
        state, states = torch.zeros_like(new[:, 0]), []
        for position in range(x.shape[1]):
            one = new[:, position]
            state = one + kept[:, position] * (state - one)
            states.append(state)
        return F.relu(torch.stack(states, dim=1))


class FeedForward(nn.Module):
    """Two linear maps with an activation between (section 3.3 of arXiv:1706.03762).

    A gated block multiplies the activation of `gate(x)` by `up(x)` (arXiv:2002.05202).
    """

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, config.hidden, bias=config.bias)
        self.down = nn.Linear(config.hidden, config.width, bias=config.bias)
        self.gate = (
            nn.Linear(config.width, config.hidden, bias=config.bias) if config.gated else None
        )
        self.activation: Callable[[Tensor], Tensor] = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B,T,D]` to `[B,T,D]`."""
        hidden = self.up(x)
        if self.gate is None:
            return self.down(self.activation(hidden))  # type: ignore[no-any-return]
        return self.down(self.activation(self.gate(x)) * hidden)  # type: ignore[no-any-return]


def make_norm(config: BlockConfig) -> nn.Module:
    """A LayerNorm or an RMSNorm over the last axis, `width` wide."""
    if config.norm_kind == "rms":
        return nn.RMSNorm(config.width, eps=config.norm_epsilon)
    return nn.LayerNorm(config.width, eps=config.norm_epsilon)


class Residual(nn.Module):
    """The residual sum around a sub-layer, with its norm before or after it."""

    def __init__(self, sublayer: nn.Module, config: BlockConfig) -> None:
        super().__init__()
        self.sublayer = sublayer
        self.norm = make_norm(config)
        self.pre = config.norm == "pre"
        self.dropout = config.dropout

    def forward(self, x: Tensor, *context: object) -> Tensor:
        """Applies the sub-layer; a `None` in `context` stands for its own (normed) input."""
        inner = self.norm(x) if self.pre else x
        arguments = [inner if item is None else item for item in context]
        x = x + F.dropout(self.sublayer(inner, *arguments), self.dropout, self.training)
        return x if self.pre else self.norm(x)


class EncoderBlock(nn.Module):
    """Self-attention and feed-forward; `attention` is the former where it is not over all of S."""

    def __init__(self, config: BlockConfig, attention: nn.Module | None = None) -> None:
        super().__init__()
        self.attention = Residual(attention or Attention(config), config)
        self.ffn = Residual(FeedForward(config), config)

    def forward(self, x: Tensor, mask: object) -> Tensor:
        """Maps `[B,S,D]` to `[B,S,D]`; `mask` is what the attention takes for one."""
        return self.ffn(self.attention(x, None, mask))  # type: ignore[no-any-return]


class DecoderBlock(nn.Module):
    """Causal self-attention, or a recurrent unit, cross-attention and feed-forward."""

    def __init__(self, config: BlockConfig, unit: DecoderUnit = "attention") -> None:
        super().__init__()
        if unit == "ssru":
            self.recurrence = Residual(SimpleRecurrentUnit(config), config)
        else:
            self.attention = Residual(Attention(config), config)
        self.unit = unit
        self.cross_attention = Residual(Attention(config), config)
        self.ffn = Residual(FeedForward(config), config)

    def forward(self, x: Tensor, causal: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Maps `[B,T,D]` to `[B,T,D]`, given the encoder's `memory [B,S,D]`."""
        is_recurrent = self.unit == "ssru"
        x = self.recurrence(x, causal) if is_recurrent else self.attention(x, None, causal)
        return self.ffn(self.cross_attention(x, memory, mask))  # type: ignore[no-any-return]


def additive_mask(mask: Tensor) -> Tensor:
    """Turns a boolean `[B,S]` or `[1,T,S]` into `0` / `-inf` of shape `[B,1,1,S]` / `[1,1,T,S]`."""
    rank3 = mask[:, None] if mask.dim() == 2 else mask
    zeros = torch.zeros(rank3.shape, device=mask.device)
    return zeros.masked_fill(~rank3, float("-inf"))[:, None]
