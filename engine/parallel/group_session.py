"""A variant on a group of ranks: what rank 0's process opens, and what the others' do.

The processes are started by whoever serves: each with a number from 0 on, and with the same
`store`, where they find each other (see `ranks.join`).  It is the group's own, and new each time
that the group starts.
"""

from pathlib import Path

import torch
import torch.distributed as dist

from engine.contract.manifest import Manifest
from engine.parallel.layout import Layout
from engine.parallel.shards.commands import CommandChannel
from engine.parallel.shards.follower import Follower
from engine.parallel.shards.model import ShardedModel
from engine.parallel.shards.ranks import BOUND, Ranks, group_ranks, join
from engine.parallel.shards.session import ShardedSession
from engine.parallel.shards.weights.shards import load_shard, shard_bytes
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.weights import computing_type


def open_group_session(
    folder: Path,
    manifest: Manifest,
    capacity: int,
    layout: Layout,
    rank: int,
    store: str | Path,
    *,
    bound: float = BOUND,
) -> ShardedSession:
    """The session of the group's rank 0, once all ranks are there and have read their weights.

    The variant in `folder` runs on `layout.group` processes, of which each other one is in
    `follow_group`: each on the GPU that it sees, of which there is one alone, or on the processor.
    A rank that does not answer within `bound` seconds is lost: calls then raise `RankLostError`,
    and all processes of the group have to end.

    Raises:
        DivisionError: the model can't be divided so.
        RankLostError: the others do not come, or are gone.
        TorchMissingError: PyTorch can't use that GPU.
        TorchMemoryError: it has not enough memory.
        WeightsError: the variant's files are missing or damaged.

    """
    assert rank == 0, "rank 0 has the session"
    place = _own_device()
    model = _joined(folder, manifest, layout, rank, store, place, bound)
    return ShardedSession(model, manifest, capacity, place, CommandChannel(model.ranks))


def follow_group(
    folder: Path,
    manifest: Manifest,
    capacity: int,
    layout: Layout,
    rank: int,
    store: str | Path,
    *,
    bound: float = BOUND,
) -> None:
    """Does the part of a rank that is not the first, until that says stop.

    All arguments are as of `open_group_session`.

    Raises:
        RankLostError: another rank is gone, or does not answer.
        DivisionError: as of `open_group_session`, and so are others.

    """
    place = _own_device()
    model = _joined(folder, manifest, layout, rank, store, place, bound)
    try:
        Follower(model, manifest, capacity, place, CommandChannel(model.ranks)).run()
    finally:
        dist.destroy_process_group()


def _own_device() -> TorchDevice:
    return TorchDevice(0 if torch.cuda.device_count() else None)


def _joined(
    folder: Path,
    manifest: Manifest,
    layout: Layout,
    rank: int,
    store: str | Path,
    place: TorchDevice,
    bound: float,
) -> ShardedModel:
    """A rank's part of the model, once all have theirs."""
    device = place.device.index if place.is_cuda else None
    ranks: Ranks | None = Ranks(layout, bound=bound)
    if layout.group > 1:
        join(rank, layout.group, str(store), device)
        ranks = group_ranks(layout, device, bound)
    assert ranks is not None, "all that joined are of the group"
    dtype = computing_type(manifest.precision, place.device)
    place.require(shard_bytes(folder, dtype, layout, rank), f"{manifest.name}'s weights")
    with place.use():
        model = load_shard(folder, place.device, dtype, ranks)
    place.wait()
    ranks.meet()
    return model
