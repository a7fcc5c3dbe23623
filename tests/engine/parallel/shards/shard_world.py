"""Processes that share models over gloo: rank 0 is the test's own."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist

from engine.contract.manifest import Manifest, read_manifest
from engine.parallel.layout import Layout
from engine.parallel.shards.commands import CommandChannel
from engine.parallel.shards.encoder import encode_part, part_states
from engine.parallel.shards.follower import Follower
from engine.parallel.shards.model import MOST_GATHERED, ShardedModel
from engine.parallel.shards.ranks import Ranks, group_ranks, join
from engine.parallel.shards.session import ShardedSession
from engine.parallel.shards.weights.shards import load_shard
from engine.runtime.sessions.torch.device import TorchDevice
from tests.engine.parallel.shards.peak import TensorPeak

RANKS, CAPACITY = 4, 12
DTYPES = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16}
KINDS_SENT = ("exchange", "all_reduce", "all_gather", "pass_on")

CPU = torch.device("cpu")

# All processes are copies of one that has PyTorch: to import it takes seconds.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "engine.parallel.group_session"])

T = TypeVar("T")


@dataclass(frozen=True)
class ShardedVariant:
    """A variant, how it is divided, and what is computed.

    Without a `session` the states of `sources` are, once, or what they take is `measured`.
    `poisoned` is a token whose vector is NaN, -1 for none.
    """

    folder: Path
    layout: Layout
    wide: bool = False
    ring: bool = False
    poisoned: int = -1
    session: bool = True
    measured: bool = False
    sources: tuple[tuple[int, ...], ...] = ()


def in_double(value: T) -> T:
    """A model's part, or all of it, in FP64."""
    found: Any = value
    if isinstance(value, torch.Tensor):
        found = value.double() if value.is_floating_point() else value
    elif value is torch.float32:
        found = torch.float64
    elif isinstance(value, list):
        found = [in_double(one) for one in value]
    elif is_dataclass(value) and not isinstance(value, type | Ranks):
        names = [one.name for one in fields(value) if one.name not in ("group", "ranks")]
        found = replace(value, **{name: in_double(getattr(value, name)) for name in names})
    return found


def padded_sources(sources: tuple[tuple[int, ...], ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids `[B,S]` and lengths `[B]`."""
    longest = max(map(len, sources))
    ids = torch.tensor([[*one, *[0] * (longest - len(one))] for one in sources])
    return ids, torch.tensor([len(one) for one in sources])


class RankCost(NamedTuple):
    """The most bytes that a rank held at once, without weights, and those it sent, by kind.

    It sent them to ranks that have other parts of the same sources.
    """

    peak: int
    sent: dict[str, int]


class World:
    """This process among those that have joined; every one of them does the same."""

    def __init__(self, store: Path, rank: int) -> None:
        torch.set_num_threads(1)
        join(rank, RANKS, str(store))
        self._groups: dict[Layout, Ranks | None] = {}

    def ranks(self, layout: Layout) -> Ranks | None:
        if layout not in self._groups:
            self._groups[layout] = group_ranks(layout, bound=20)
        return self._groups[layout]

    def model(self, case: ShardedVariant) -> ShardedModel | None:
        """This rank's part, if it has one."""
        ranks = self.ranks(case.layout)
        if ranks is None:
            return None
        manifest = read_manifest(case.folder)
        dtype = torch.float32 if manifest.precision == "int8" else DTYPES[manifest.precision]
        model = load_shard(case.folder, CPU, dtype, ranks)
        model = in_double(model) if case.wide else model
        if case.poisoned in range(model.tokens.first, model.tokens.last):
            part = getattr(model.encoder.embedding, "part", model.encoder.embedding)
            part.rows[case.poisoned - model.tokens.first] = torch.nan
        return replace(model, most_gathered=0 if case.ring else MOST_GATHERED)

    def states(self, case: ShardedVariant) -> torch.Tensor | None:
        """The encoder's states, of all ranks' positions `[S,B,C,D]`."""
        model = self.model(case)
        if model is None:
            return None
        sources = padded_sources(case.sources)
        with torch.inference_mode():
            if case.measured:
                return self._cost(model, sources)
            made = part_states(model, *sources)
            return model.ranks.sequence.all_gather(made.view(len(case.sources), -1, model.width))

    @staticmethod
    def _cost(model: ShardedModel, sources: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Of each rank, the most bytes that it held at once, and those it sent by `KINDS_SENT`."""
        group = model.ranks.sequence
        group.sent.clear()
        with TensorPeak() as peak:
            encode_part(model, *sources)
        return group.all_gather(torch.tensor([peak.most, *(group.sent[one] for one in KINDS_SENT)]))

    def follow(self) -> None:
        """Does what `Leader` has all do, until that leaves."""
        while True:
            told: list[Any] = [None]
            dist.broadcast_object_list(told)
            case = told[0]
            if case is None:
                return
            if not case.session:
                self.states(case)
            elif (model := self.model(case)) is not None:
                manifest = read_manifest(case.folder)
                channel = CommandChannel(model.ranks)
                if model.ranks.rank:
                    Follower(model, manifest, CAPACITY, TorchDevice(None), channel).run()


class Leader(World):
    """The test's process."""

    def encoded(self, case: ShardedVariant) -> torch.Tensor:
        """What `states` gives."""
        dist.broadcast_object_list([replace(case, session=False)])
        made = self.states(case)
        assert made is not None
        return made

    def costs(self, case: ShardedVariant) -> list[RankCost]:
        """What each of the ranks that share sources takes to encode these."""
        made = self.encoded(replace(case, measured=True)).tolist()
        return [RankCost(peak, dict(zip(KINDS_SENT, sent, strict=True))) for peak, *sent in made]

    def peak(self, case: ShardedVariant) -> int:
        """The most bytes that one of them held."""
        return max(cost.peak for cost in self.costs(case))

    @contextmanager
    def session(self, case: ShardedVariant) -> Iterator[tuple[ShardedSession, ShardedModel]]:
        """A session over the case's ranks, and rank 0's part."""
        dist.broadcast_object_list([case])
        model = self.model(case)
        assert model is not None
        manifest: Manifest = read_manifest(case.folder)
        channel = CommandChannel(model.ranks)
        session = ShardedSession(model, manifest, CAPACITY, TorchDevice(None), channel)
        try:
            yield session, model
        finally:
            session.close()


@contextmanager
def led_world(folder: Path) -> Iterator[Leader]:
    """A world of `RANKS` processes."""
    store = folder / "store"
    calls = [partial(_follow, store, rank) for rank in range(1, RANKS)]
    with open_members(calls) as members:
        leader = Leader(store, 0)
        try:
            yield leader
            dist.broadcast_object_list([None])
            for one in members:
                one.join(20)
                assert one.exitcode == 0
        finally:
            dist.destroy_process_group()


def _follow(store: Path, rank: int) -> None:
    World(store, rank).follow()
    dist.destroy_process_group()


@contextmanager
def open_members(calls: list[Callable[[], None]]) -> Iterator[list[ForkServerProcess]]:
    """Processes that make these calls, and are ended at last."""
    members = [_FORKS.Process(target=call) for call in calls]
    for one in members:
        one.start()
    try:
        yield members
    finally:
        for one in members:
            one.kill()
            one.join()
