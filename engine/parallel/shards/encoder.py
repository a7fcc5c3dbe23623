"""The encoder, of which each rank computes its part of the sources, with its part of the weights.

B sources, S positions, C those of a part, D the model's width, H this rank's heads, K their width.
"""

from functools import partial

from torch import Tensor

from engine.parallel.shards.attention import SourceAttention
from engine.parallel.shards.model import ShardedModel
from engine.parallel.shards.parts import SourceParts
from engine.runtime.sessions.torch.encoder import Block, embed, feed_forward, run_blocks
from engine.runtime.sessions.torch.model import TorchModel, TorchSublayer


def encode_part(model: TorchModel, ids: Tensor, lengths: Tensor) -> Tensor:
    """A rank's cross keys and values, `[2*layers,B,H,C,K]`. See `encode`."""
    assert isinstance(model, ShardedModel)
    count, width = ids.shape[0], part_width(model, ids.shape[1])
    both = model.encoder.last(part_states(model, ids, lengths))
    heads = model.decoder.heads, model.decoder.head
    return both.view(count, width, -1, *heads).permute(2, 0, 3, 1, 4)


def part_states(model: ShardedModel, ids: Tensor, lengths: Tensor) -> Tensor:
    """What the decoder attends to, of this rank's positions `[B*C,D]`; any numbers behind them."""
    stack, group = model.encoder, model.ranks.sequence
    width = part_width(model, ids.shape[1])
    parts = SourceParts(lengths, group.size)
    # Behind a part's end stands the source's last token, as if it were there again.
    places = parts.places(group.rank, width).minimum(lengths[:, None] - 1)
    x = embed(model, stack, ids.gather(1, places).flatten(), places.flatten())
    gathered = 2 * ids.shape[0] * group.size * width * stack.heads * stack.head
    item = stack.layers[0][0].entry.dtype.itemsize
    is_large = gathered * item > model.most_gathered
    attention = SourceAttention(parts, group, width, stack.relative, ring=is_large)
    blocks: list[Block] = []
    for own, ffn in stack.layers:
        blocks += [
            (own, partial(_attend, model, own, attention)),
            (ffn, partial(feed_forward, model, ffn)),
        ]
    return run_blocks(model, stack, x, blocks)


def part_width(model: ShardedModel, longest: int) -> int:
    """How many positions a rank has of sources that are so long at most."""
    return -(-longest // model.ranks.sequence.size)


def _attend(
    model: ShardedModel, sublayer: TorchSublayer, attention: SourceAttention, x: Tensor
) -> Tensor:
    """Self-attention of parts that lie one behind the other, `[B*C,D] -> [B*C,D]`."""
    assert sublayer.exit is not None
    stack = model.encoder
    qkv = sublayer.entry(x).view(-1, attention.width, 3, stack.heads, stack.head)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    context = attention(query, key, value)
    return sublayer.exit(context.transpose(1, 2).reshape(x.shape[0], -1))
