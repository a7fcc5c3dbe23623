"""The ranks that share a model, and what they tell each other."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import FileStore, Store, TCPStore

from engine.parallel.layout import Layout
from engine.runtime.sessions.session import DeviceLostError

BOUND = 30.0
"""Seconds after which a rank that does not take part in a collective counts as lost."""

JOIN_SECONDS = 600.0
"""How long ranks wait for each other before the first call: to start, and to read weights."""

_IDLE = timedelta(days=365)
"""How long a rank waits for a command: a service may be idle.  A rank 0 that ends is noticed."""

_INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
"""Where gloo and NCCL listen; else on what the host's name stands for."""

Result = TypeVar("Result")


class RankLostError(DeviceLostError):
    """A rank of this process's group is gone, hangs or failed: the group has to start again."""


@dataclass(frozen=True)
class RankGroup:
    """Ranks that divide something, of which this one is number `rank` of `size`.

    `sent` are the bytes that this rank has sent in each kind of collective, as the algorithm for
    large messages sends them: a ring (Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce
    algorithms for clusters of workstations").

    Every method raises `RankLostError` where another rank does not answer in time.
    """

    rank: int = 0
    size: int = 1
    handle: dist.ProcessGroup | None = None
    members: tuple[int, ...] = (0,)
    """Their numbers in the group of all."""
    sent: Counter[str] = field(default_factory=Counter)

    def all_reduce(self, x: Tensor) -> Tensor:
        """The sum of all ranks' `x`, in place of it."""
        if self.size == 1:
            return x
        x = x.contiguous()
        self.sent["all_reduce"] += 2 * (self.size - 1) * _bytes(x) // self.size
        _watched(lambda: dist.all_reduce(x, group=self.handle))
        return x

    def all_gather(self, x: Tensor) -> Tensor:
        """All ranks' `x`, which are of one shape, `[size,*x.shape]`."""
        if self.size == 1:
            return x[None]
        x = x.contiguous()
        every = x.new_empty(self.size, *x.shape)
        self.sent["all_gather"] += (self.size - 1) * _bytes(x)
        _watched(lambda: dist.all_gather(list(every.unbind()), x, group=self.handle))
        return every

    def exchange(self, edges: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """Gives each of some `edges` to the ranks so far before and behind this one.

        Edges are (for the rank before, for that behind), of the next ranks, of those after them,
        and so on; every rank's are of the same shapes.

        Returns:
            What has come: (from the rank before, from that behind), zeros where there is none.

        """
        found, ends = [], []
        for distance, (first, last) in enumerate(edges, 1):
            came = torch.zeros_like(last), torch.zeros_like(first)
            found.append(came)
            for given, taken, other in zip(
                (first, last), came, (self.rank - distance, self.rank + distance), strict=True
            ):
                if 0 <= other < self.size:
                    self.sent["exchange"] += _bytes(given)
                    member = self.members[other]
                    ends += [
                        dist.P2POp(dist.isend, given.contiguous(), member, self.handle),
                        dist.P2POp(dist.irecv, taken, member, self.handle),
                    ]
        for work in _watched(lambda: dist.batch_isend_irecv(ends)) if ends else []:
            _watched(work.wait)
        return found

    def pass_on(self, x: Tensor) -> Callable[[], Tensor]:
        """Begins to give `x` to the next rank; the result waits for that of the one before."""
        after, before = (self.members[(self.rank + one) % self.size] for one in (1, -1))
        received = torch.empty_like(x)
        self.sent["pass_on"] += _bytes(x)
        ends = [
            dist.P2POp(dist.isend, x, after, self.handle),
            dist.P2POp(dist.irecv, received, before, self.handle),
        ]
        works = _watched(lambda: dist.batch_isend_irecv(ends))

        def wait() -> Tensor:
            for work in works:
                _watched(work.wait)
            return received

        return wait


@dataclass(frozen=True)
class Ranks:
    """A group of `layout.group` ranks, of which the first has the host's side.

    Rank s tp + t has part t of the weights, and part s of each source.
    """

    layout: Layout = field(default_factory=Layout)
    rank: int = 0
    tensor: RankGroup = field(default_factory=RankGroup)
    sequence: RankGroup = field(default_factory=RankGroup)
    control: dist.ProcessGroup | None = None
    """For commands: its tensors are the processor's, and it waits for any time."""
    bound: float = BOUND

    def meet(self) -> None:
        """Waits until all ranks have come here.

        Raises:
            RankLostError: one is gone.

        """
        if self.layout.group > 1:
            zero = torch.zeros(1)
            work = _watched(lambda: dist.all_reduce(zero, group=self.control, async_op=True))
            _watched(lambda: work.wait(timedelta(seconds=JOIN_SECONDS)))

    def broadcast(self, x: Tensor) -> None:
        """Gives what rank 0 has in `x`, on the processor, to all; others wait for any time.

        Raises:
            RankLostError: a rank is gone, or does not take it in time.

        """
        work = _watched(lambda: dist.broadcast(x, 0, group=self.control, async_op=True))
        wait = timedelta(seconds=self.bound) if self.rank == 0 else _IDLE
        _watched(lambda: work.wait(wait))


def join(rank: int, ranks: int, store: str, device: int | None = None) -> None:
    """Has this process be one of so many, on GPU `device` or the processor.

    `store` is where they find each other: the path of a file that does not exist yet, or
    tcp://host:port, where rank 0 listens.

    Raises:
        RankLostError: the others do not come.

    """
    wait = timedelta(seconds=JOIN_SECONDS)
    place = urlsplit(store)
    common: Store
    if place.scheme == "tcp":
        assert place.hostname and place.port, "a host and a port"
        common = _watched(
            lambda: TCPStore(str(place.hostname), place.port or 0, ranks, rank == 0, wait)
        )
    else:
        for name in _INTERFACES:
            os.environ.setdefault(name, "lo")  # a file's ranks are on one machine
        common = FileStore(str(Path(store)), ranks)
    if device is not None:
        torch.cuda.set_device(device)
    backend = "gloo" if device is None else "cpu:gloo,cuda:nccl"
    _watched(
        lambda: dist.init_process_group(
            backend, store=common, rank=rank, world_size=ranks, timeout=wait
        )
    )


def group_ranks(layout: Layout, device: int | None = None, bound: float = BOUND) -> Ranks | None:
    """What a process is among the first `layout.group` that have joined; None if it is another.

    All that have joined have to call it.

    Raises:
        RankLostError: one does not.

    """
    if layout.group == 1:
        return Ranks(layout, bound=bound) if _own_rank() == 0 else None
    rank, tensor, wait = _own_rank(), layout.tensor, timedelta(seconds=bound)
    backend = "gloo" if device is None else "nccl"
    everyone = list(range(layout.group))
    control = _watched(lambda: dist.new_group(everyone, timeout=_IDLE, backend="gloo"))
    tensors = [everyone[first : first + tensor] for first in range(0, layout.group, tensor)]
    sequences = [everyone[first::tensor] for first in range(tensor)]
    found = [
        _own_group([_new_group(members, wait, backend) for members in groups], rank)
        for groups in (tensors, sequences)
    ]
    if rank >= layout.group:
        return None
    return Ranks(layout, rank, found[0], found[1], control, bound)


def _own_rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _new_group(members: list[int], wait: timedelta, backend: str) -> RankGroup:
    """Any group, as its first member has it."""
    if len(members) == 1:
        return RankGroup(members=tuple(members))
    handle = _watched(lambda: dist.new_group(members, timeout=wait, backend=backend))
    return RankGroup(0, len(members), handle, tuple(members))


def _own_group(groups: list[RankGroup], rank: int) -> RankGroup:
    for one in groups:
        if rank in one.members:
            return RankGroup(one.members.index(rank), one.size, one.handle, one.members)
    return RankGroup()


def _bytes(x: Tensor) -> int:
    return x.numel() * x.itemsize


def _watched(call: Callable[[], Result]) -> Result:
    try:
        return call()
    except RuntimeError as error:
        reason = str(error).partition("\n")[0].strip().rstrip(".")
        raise RankLostError(f"a rank of this group is lost: {reason}.") from error
