"""The encoder, of which each rank computes its part of the sources, with its part of the weights.

B sources, S positions, C those of a part, D the model's width, H this rank's heads, K their width.
"""

from torch import Tensor

from engine.parallel.shards.attention import SourceAttention
from engine.parallel.shards.model import ShardedModel
from engine.parallel.shards.parts import SourceParts
from engine.runtime.sessions.torch.encoder import cross_of, embed, run_layers
from engine.runtime.sessions.torch.model import TorchModel


def encode_part(model: TorchModel, ids: Tensor, lengths: Tensor) -> Tensor:
    """A rank's cross keys and values, `[2*layers,B,H,C,K]`. See `encode`."""
    assert isinstance(model, ShardedModel)
    return cross_of(model, part_states(model, ids, lengths), ids.shape[0])


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
    return run_layers(model, stack, x, ids.shape[0], attention)


def part_width(model: ShardedModel, longest: int) -> int:
    """How many positions a rank has of sources that are so long at most."""
    return -(-longest // model.ranks.sequence.size)
