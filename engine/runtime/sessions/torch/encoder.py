"""The encoder, for whole sources at once.

B sources, S positions, D the model's width, H heads, K a head's width.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from engine.model.layers import ACTIVATIONS
from engine.model.shortlist import Shortlist
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.attention.distances import bias_line
from engine.runtime.sessions.torch.attention.heads import Attention, LayerHeads, masked
from engine.runtime.sessions.torch.attention.local import LocalAttention
from engine.runtime.sessions.torch.attention.spans import SourceSpans
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.memory import TorchSources
from engine.runtime.sessions.torch.model import (
    Arrangement,
    TorchModel,
    TorchNorm,
    TorchStack,
    TorchSublayer,
)

_ENCODED_TOGETHER = 1 << 15
"""Tokens; what an encoder holds on its way is some 30 KB for each."""

Encoder = Callable[[TorchModel, Tensor, Tensor], Tensor]
"""Makes cross keys and values of ids and lengths. See `encode`."""


def encode_sources(
    model: TorchModel,
    device: TorchDevice,
    sources: list[list[int]],
    encoder: Encoder | None = None,
) -> TorchSources:
    """Encodes sources of one token or more, by `encode` if no other encoder is given.

    The caller has the model's `device` in use.
    """
    width, make = max(map(len, sources)), encoder or encode
    ids = np.zeros((len(sources), width), np.int64)
    for row, source in enumerate(sources):
        ids[row, : len(source)] = source
    lengths = np.array([len(source) for source in sources])
    together = max(1, _ENCODED_TOGETHER // width)
    tokens, sizes = device.upload(ids), device.upload(lengths)
    parts = zip(tokens.split(together), sizes.split(together), strict=True)
    cross = [make(model, *part).to(model.dtype) for part in parts]
    shortlist = model.shortlist
    allowed = None if shortlist is None else _allowed(model, device, shortlist, sources)
    return TorchSources(torch.cat(cross, dim=1), allowed)


def _allowed(
    model: TorchModel, device: TorchDevice, shortlist: Shortlist, sources: list[list[int]]
) -> Tensor:
    """Which tokens each answer may hold, `[B,V]`."""
    allowed = np.zeros((len(sources), model.vocabulary), np.bool_)
    for row, source in zip(allowed, sources, strict=True):
        row[shortlist.likely(source)] = True
    allowed[:, model.suppressed.cpu().numpy()] = False
    return device.pinned(torch.from_numpy(allowed)).to(model.device, non_blocking=True)


def encode(model: TorchModel, ids: Tensor, lengths: Tensor) -> Tensor:
    """Cross keys and values of sources: key 0, value 0, key 1, ... `[2*layers,B,H,S,K]`.

    `ids [B,S]` are padded with any token behind `lengths [B]`.
    """
    return cross_of(model, encoder_states(model, ids, lengths), ids.shape[0])


def cross_of(model: TorchModel, states: Tensor, count: int) -> Tensor:
    """The cross keys and values of what so many sources' states `[B*S,D]` are. See `encode`."""
    width, heads = states.shape[0] // count, (model.decoder.heads, model.decoder.head)
    both = model.encoder.last(states)
    return both.view(count, width, -1, *heads).permute(2, 0, 3, 1, 4)


def encoder_states(model: TorchModel, ids: Tensor, lengths: Tensor) -> Tensor:
    """What the decoder attends to, `[B*S,D]`. See `encode`."""
    stack, (count, width) = model.encoder, ids.shape
    places = torch.arange(width, device=ids.device)
    x = embed(model, stack, ids.flatten(), places.repeat(count))
    return run_layers(model, stack, x, count, _attention(stack, lengths, width))


def _attention(stack: TorchStack, lengths: Tensor, width: int) -> Attention:
    """That of sources with `lengths [B]`, padded to `width`."""
    if stack.reach is not None:
        assert stack.relative is not None, "such encoders have relative positions"
        spans = SourceSpans.whole(lengths, width)
        return LocalAttention(stack.reach, stack.relative, spans)
    mask = length_mask(lengths, width)
    if stack.relative is not None:
        places = torch.arange(width, device=lengths.device)
        mask = mask + bias_line(stack.relative, places - places[:, None])
    return masked(mask)


def length_mask(lengths: Tensor, width: int) -> Tensor:
    """What is added to scores: FP32 `[B,1,1,width]`, 0 within `lengths [B]` and -inf behind."""
    places = torch.arange(width, device=lengths.device)
    mask = torch.zeros(lengths.shape[0], 1, 1, width, device=lengths.device)
    return mask.masked_fill_((places >= lengths[:, None])[:, None, None], -torch.inf)


def run_layers(
    model: Arrangement, stack: TorchStack, x: Tensor, count: int, attention: Attention
) -> Tensor:
    """What an encoder's layers make of `count` sources `x [B*S,D]`, and the final norm if any."""
    blocks: list[Block] = []
    for own, ffn in stack.layers:
        blocks += [
            (own, partial(_attend, stack, own, count, attention)),
            (ffn, partial(feed_forward, model, ffn)),
        ]
    return run_blocks(model, stack, x, blocks)


def embed(model: TorchModel, stack: TorchStack, ids: Tensor, positions: Tensor) -> Tensor:
    """What a stack begins with, FP32 `[n,D]`, of `ids [n]` at `positions [n]`."""
    placed = None if model.unplaced is None else ids != model.unplaced
    return normed(stack.embedding_norm, stack.embedding(ids, positions, placed))


def normed(norm: TorchNorm | None, x: Tensor) -> Tensor:
    """`x`, through a norm if there is one."""
    return x if norm is None else norm(x)


Block = tuple[TorchSublayer, Callable[[Tensor], Tensor]]
"""A sublayer, and what it computes of what stands in its product's type: `[n,D] -> [n,D]`."""


def run_blocks(model: Arrangement, stack: TorchStack, x: Tensor, blocks: Sequence[Block]) -> Tensor:
    """`x [n,D]`, FP32 or wider, through blocks, each in a residual sum with its norm, and the last.

    A sum is made with the norm that follows it: its own, or before the next block that one's.
    """
    sublayers, operand = [sublayer for sublayer, _ in blocks], x
    norms = [one.norm for one in sublayers]
    if model.pre_norm:
        assert stack.final_norm is not None
        operand, norms = norms[0](x), [*norms[1:], stack.final_norm]
    types = [*(one.entry.dtype for one in sublayers[1:]), x.dtype]
    for (_, compute), norm, dtype in zip(blocks, norms, types, strict=True):
        update, before = compute(operand), model.pre_norm
        x, operand = kernels.residual(x, update, norm, pre_norm=before, dtype=dtype)
    return operand


def feed_forward(model: Arrangement, sublayer: TorchSublayer, x: Tensor) -> Tensor:
    """A feed-forward block, gated or not: `[n,D] -> [n,D]`."""
    activation, both = ACTIVATIONS[model.activation], sublayer.entry(x)
    assert sublayer.exit is not None
    if not model.gated:
        return sublayer.exit(activation(both))
    gate, up = both.chunk(2, dim=1)
    return sublayer.exit(activation(gate) * up)


def _attend(
    stack: TorchStack, sublayer: TorchSublayer, count: int, attention: Attention, x: Tensor
) -> Tensor:
    """Self-attention of sources that lie one behind the other, `[B*S,D] -> [B*S,D]`."""
    assert sublayer.exit is not None
    context = attention(LayerHeads(stack, sublayer, count), x)
    return sublayer.exit(context.transpose(1, 2).reshape(x.shape[0], -1))
