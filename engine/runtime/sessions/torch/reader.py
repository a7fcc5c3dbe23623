"""An encoder with a head on a device, which reads whole windows.

B windows, S positions, D the model's width, E that of its embeddings.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.model.config import Activation
from engine.model.layers import ACTIVATIONS
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.attention.heads import masked
from engine.runtime.sessions.torch.encoder import length_mask, normed, run_layers
from engine.runtime.sessions.torch.model import Arrangement, TorchProduct, TorchStack


@dataclass(frozen=True)
class TorchReader(Arrangement):
    """A classifier, which has a `dense` product before the head, or a span head without one.

    The head is `stack.last`.  Embeddings of tokens, positions and `types [types,E]` are summed and
    normed, and mapped to the layers' width by `projection`.
    """

    device: torch.device
    stack: TorchStack
    types: Tensor | None
    projection: TorchProduct | None
    dense: TorchProduct | None
    head_activation: Activation
    vocabulary: int
    max_positions: int

    def __call__(self, ids: Tensor, types: Tensor, lengths: Tensor) -> Tensor:
        """FP32 logits `[B,labels]`, or `[B,S,2]` of a span head.

        `ids` and `types [B,S]` are padded with anything that exists behind `lengths [B]`, 1 or
        more.
        """
        count, width = ids.shape
        attention = masked(length_mask(lengths, width))
        x = run_layers(self, self.stack, self._embed(ids, types), count, attention)
        if self.dense is None:
            return self._logits(x).view(count, width, -1)
        first = self.dense(x.view(count, width, -1)[:, 0])
        return self._logits(ACTIVATIONS[self.head_activation](first))

    def _embed(self, ids: Tensor, types: Tensor) -> Tensor:
        stack, (count, width) = self.stack, ids.shape
        places = torch.arange(width, device=ids.device).repeat(count)
        x = stack.embedding(ids.flatten(), places, None)
        if self.types is not None:
            x = x + F.embedding(types.flatten(), self.types)
        x = normed(stack.embedding_norm, x)
        return x if self.projection is None else self.projection(x).float()

    def _logits(self, x: Tensor) -> Tensor:
        head = self.stack.last
        logits = x.new_empty(x.shape[0], head.bias.shape[0], dtype=torch.float32)
        kernels.logits_into(logits, x, head)
        return logits


def reading_bytes(reader: TorchReader, tokens: int) -> int:
    """What so many tokens take on the device while a layer computes them, about."""
    stack = reader.stack
    attention, ffn = stack.layers[0]
    assert attention.exit is not None
    values = 3 * attention.entry.width + 3 * ffn.entry.width
    # The sum, its norm, and what is added to it, in FP32.
    return tokens * (values * attention.entry.dtype.itemsize + 3 * 4 * attention.exit.width)
