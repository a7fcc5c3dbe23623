"""The encoder, of which each rank computes its part of the sources, with its part of the weights.

B sources, S positions, C those of a part, D the model's width, H this rank's heads, K their width.
"""

from torch import Tensor

from engine.parallel.shards.attention.halo import Halo
from engine.parallel.shards.attention.local import PartAttention
from engine.parallel.shards.attention.sources import SourceAttention
from engine.parallel.shards.model import ShardedModel
from engine.parallel.shards.parts import SourceParts
from engine.runtime.sessions.torch.attention.heads import Attention
from engine.runtime.sessions.torch.attention.local import LocalAttention
from engine.runtime.sessions.torch.attention.spans import SourceSpans
from engine.runtime.sessions.torch.encoder import cross_of, embed, run_layers
from engine.runtime.sessions.torch.model import TorchModel, TorchReach


def encode_part(model: TorchModel, ids: Tensor, lengths: Tensor) -> Tensor:
    """A rank's cross keys and values, `[2*layers,B,H,C,K]`. See `encode`."""
    assert isinstance(model, ShardedModel)
    return cross_of(model, part_states(model, ids, lengths), ids.shape[0])


def part_states(model: ShardedModel, ids: Tensor, lengths: Tensor) -> Tensor:
    """What the decoder attends to, of this rank's positions `[B*C,D]`; any numbers behind them."""
    stack, group, (count, longest) = model.encoder, model.ranks.sequence, ids.shape
    width = part_width(model, longest)
    parts = SourceParts(lengths, group.size)
    # Behind a part's end stands the source's last token, as if it were there again.
    places = parts.places(group.rank, width).minimum(lengths[:, None] - 1)
    x = embed(model, stack, ids.gather(1, places).flatten(), places.flatten())
    near = stack.reach
    attention = (
        _far(model, parts, width) if near is None else _near(model, parts, width, longest, near)
    )
    return run_layers(model, stack, x, count, attention)


def _far(model: ShardedModel, parts: SourceParts, width: int) -> Attention:
    """Attention to all of a source."""
    stack, group = model.encoder, model.ranks.sequence
    gathered = 2 * parts.lengths.shape[0] * group.size * width * stack.heads * stack.head
    item = stack.layers[0][0].entry.dtype.itemsize
    is_large = gathered * item > model.most_gathered
    return SourceAttention(parts, group, width, stack.relative, ring=is_large)


def _near(
    model: ShardedModel, parts: SourceParts, width: int, longest: int, reach: TorchReach
) -> Attention:
    """Attention that reaches so far."""
    group, relative = model.ranks.sequence, model.encoder.relative
    assert relative is not None, "such encoders have relative positions"
    starts = group.rank * parts.each
    ends = starts + parts.sizes(group.rank)
    spans = SourceSpans(parts.lengths, starts, ends, longest)
    if group.size == 1:
        return LocalAttention(reach, relative, spans)
    halo = Halo(parts, group, width, reach.radius)
    return PartAttention(reach, relative, spans, halo.margin, group=group, halo=halo)


def part_width(model: ShardedModel, longest: int) -> int:
    """How many positions a rank has of sources that are so long at most."""
    return -(-longest // model.ranks.sequence.size)
