"""One step of the decoder, for one position of every row.

N rows, D the model's width, H heads, K a head's width, L positions of a cache.
"""

from functools import partial

from torch import Tensor

from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.encoder import Block, embed, feed_forward, run_blocks
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
        blocks: list[Block] = []
        for layer, (own, cross, ffn) in enumerate(stack.layers):
            unit = partial(self._recur if model.recurrent else self._attend_own, own)
            blocks += [
                (own, partial(unit, layer, positions)),
                (cross, partial(self._attend_source, cross, layer, source_lengths)),
                (ffn, partial(feed_forward, model, ffn)),
            ]
        return run_blocks(model, stack, embed(model, stack, ids, positions), blocks)

    def _attend_own(
        self, sublayer: TorchSublayer, layer: int, positions: Tensor, x: Tensor
    ) -> Tensor:
        assert sublayer.exit is not None
        stack = self.model.decoder
        qkv = sublayer.entry(x).view(x.shape[0], 3, stack.heads, stack.head)
        query, key, value = qkv.unbind(1)
        caches = self.own[2 * layer], self.own[2 * layer + 1]
        context = kernels.attend_own(query, key, value, *caches, positions, stack.relative)
        return sublayer.exit(context)

    def _attend_source(
        self, sublayer: TorchSublayer, layer: int, lengths: Tensor, x: Tensor
    ) -> Tensor:
        assert sublayer.exit is not None
        stack = self.model.decoder
        query = sublayer.entry(x).view(x.shape[0], stack.heads, stack.head)
        keys, values = self.cross[2 * layer], self.cross[2 * layer + 1]
        if self.seen is not None:
            self.seen.append(kernels.weigh(query, keys, lengths))
        return sublayer.exit(kernels.attend(query, keys, values, lengths))

    def _recur(self, sublayer: TorchSublayer, layer: int, positions: Tensor, x: Tensor) -> Tensor:
        """An SSRU, see `engine/model/layers.py`."""
        made, forget = sublayer.entry(x).float().chunk(2, dim=1)
        before = kernels.read(self.own[layer], (positions + 1) % 2)[:, 0]
        past = before.masked_fill((positions == 0)[:, None], 0)
        state = made + forget.sigmoid() * (past - made)
        kernels.write(self.own[layer], positions % 2, state[:, None])
        return state.relu()
