"""One step of the decoder, for one position of every row.

N rows, D the model's width, H heads, K a head's width, L positions of a cache.
"""

from functools import partial

from torch import Tensor

from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.encoder import embed, feed_forward, normed, residual
from engine.runtime.sessions.torch.model import TorchModel, TorchSublayer


class DecoderStep:
    """A step of rows whose memory is `own [P,N,H,L,K]` and `cross [2*layers,N,H,S,K]`.

    `own` holds key 0, value 0, key 1, ... or of recurrent units the last two states of every layer,
    `[layers,N,1,2,D]` FP32, so that a step may be made again.  What each layer attends to, FP32
    `[N,H,S]`, is put behind `seen` if that is given: else it needs no memory.
    """

    def __init__(
        self, model: TorchModel, own: Tensor, cross: Tensor, seen: list[Tensor] | None = None
    ) -> None:
        self.model, self.own, self.cross, self.seen = model, own, cross, seen

    def run(self, ids: Tensor, positions: Tensor, source_lengths: Tensor) -> Tensor:
        """What the head reads, FP32 `[N,D]`; all inputs are `[N]`."""
        model, stack = self.model, self.model.decoder
        x = embed(model, stack, ids, positions)
        bias = None
        if stack.relative is not None:
            bias = kernels.relative_bias(stack.relative, positions, self.own.shape[3])
        for layer, sublayers in enumerate(stack.layers):
            own, cross, ffn = sublayers
            if model.recurrent:
                unit = partial(self._recur, own, layer, positions)
            else:
                unit = partial(self._attend_own, own, layer, positions, bias)
            x = residual(model, own, x, unit)
            attended = partial(self._attend_source, cross, layer, source_lengths)
            x = residual(model, cross, x, attended)
            x = residual(model, ffn, x, partial(feed_forward, model, ffn))
        return normed(stack.final_norm, x)

    def _attend_own(
        self, sublayer: TorchSublayer, layer: int, positions: Tensor, bias: Tensor | None, x: Tensor
    ) -> Tensor:
        assert sublayer.exit is not None
        stack = self.model.decoder
        qkv = sublayer.entry(x).view(x.shape[0], 3, stack.heads, stack.head)
        query, key, value = qkv.unbind(1)
        keys, values = self.own[2 * layer], self.own[2 * layer + 1]
        kernels.write(keys, positions, key)
        kernels.write(values, positions, value)
        context, _ = kernels.attend(query, keys, values, positions + 1, bias)
        return sublayer.exit(context)

    def _attend_source(
        self, sublayer: TorchSublayer, layer: int, lengths: Tensor, x: Tensor
    ) -> Tensor:
        assert sublayer.exit is not None
        stack = self.model.decoder
        query = sublayer.entry(x).view(x.shape[0], stack.heads, stack.head)
        keys, values = self.cross[2 * layer], self.cross[2 * layer + 1]
        context, weights = kernels.attend(query, keys, values, lengths)
        if self.seen is not None:
            self.seen.append(weights)
        return sublayer.exit(context)

    def _recur(self, sublayer: TorchSublayer, layer: int, positions: Tensor, x: Tensor) -> Tensor:
        """An SSRU, see `engine/model/layers.py`."""
        made, forget = sublayer.entry(x).float().chunk(2, dim=1)
        before = kernels.read(self.own[layer], (positions + 1) % 2)[:, 0]
        past = before.masked_fill((positions == 0)[:, None], 0)
        state = made + forget.sigmoid() * (past - made)
        kernels.write(self.own[layer], positions % 2, state[:, None])
        return state.relu()
