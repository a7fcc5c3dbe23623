"""A rank's lane, and that of rank 0, which has the others do what it does."""

from collections.abc import Sequence

from torch import Tensor

from engine.contract.manifest import Manifest
from engine.parallel.shards.commands import (
    AdmitSources,
    ClearSlots,
    CommandChannel,
    CopyBeams,
    MakeStep,
    MoveSlot,
    ResetSlots,
    TellState,
)
from engine.parallel.shards.decoder import ShardedStep
from engine.parallel.shards.state import ShardedState
from engine.runtime.decoding.selection import Ints
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.lane import LaneParts, TorchLane
from engine.runtime.sessions.torch.memory import TorchMemory, TorchSources
from engine.runtime.sessions.torch.model import TorchModel
from engine.runtime.sessions.torch.state import ExpectedBeams

PARTS = LaneParts(state=ShardedState, step=ShardedStep)
"""What a lane is made of on each rank but the first."""


class LeadingLane(TorchLane):
    """See `TorchLane`: rank 0's, whose steps other ranks make too."""

    def __init__(
        self,
        model: TorchModel,
        manifest: Manifest,
        capacity: int,
        steps: int,
        device: TorchDevice,
        channel: CommandChannel,
    ) -> None:
        self._channel = channel
        parts = _leading_parts(channel)
        super().__init__(model, manifest, capacity, steps, device, parts)

    def step(self, rows: int, width: int, seen: list[Tensor] | None = None) -> None:
        """See `TorchLane`."""
        self._channel.send(MakeStep(rows, width, seen is not None))
        super().step(rows, width, seen)


def _leading_parts(channel: CommandChannel) -> LaneParts:

    def memory(
        model: TorchModel, manifest: Manifest, capacity: int, device: TorchDevice
    ) -> TorchMemory:
        return LeadingMemory(model, manifest, capacity, device, channel)

    def state(model: TorchModel, capacity: int, steps: int, device: TorchDevice) -> LeadingState:
        return LeadingState(model, capacity, steps, device, channel)

    return LaneParts(memory, state, ShardedStep)


class LeadingState(ShardedState):
    """See `ShardedState`; what the host tells, other ranks are told too."""

    def __init__(
        self,
        model: TorchModel,
        capacity: int,
        steps: int,
        device: TorchDevice,
        channel: CommandChannel,
    ) -> None:
        super().__init__(model, capacity, steps, device)
        self._channel = channel

    def upload(
        self, slots: Slots, steps: int, beams: ExpectedBeams | None = None, after: int = 0
    ) -> None:
        """See `LaneState`."""
        super().upload(slots, steps, beams, after)
        self._channel.post(TellState(self.told, after > 0))


class LeadingMemory(TorchMemory):
    """See `TorchMemory`; what is done here, other ranks do before their next step."""

    def __init__(
        self,
        model: TorchModel,
        manifest: Manifest,
        capacity: int,
        device: TorchDevice,
        channel: CommandChannel,
    ) -> None:
        super().__init__(model, manifest, capacity, device)
        self._channel = channel

    def reset(self) -> None:
        """See `TorchMemory`."""
        self._channel.post(ResetSlots())
        super().reset()

    def admit(self, first: int, encoded: TorchSources, rows: Sequence[int]) -> None:
        """See `SlotMemory`."""
        self._channel.post(AdmitSources(first, [int(row) for row in rows]))
        super().admit(first, encoded, rows)

    def copy(self, sources: Ints, targets: Ints, lengths: Ints) -> None:
        """See `SlotMemory`."""
        self._channel.post(CopyBeams(sources.tolist(), targets.tolist(), lengths.tolist()))
        super().copy(sources, targets, lengths)

    def move(self, source: int, target: int, length: int, source_length: int) -> None:
        """See `SlotMemory`."""
        self._channel.post(MoveSlot(int(source), int(target)))
        super().move(source, target, length, source_length)

    def clear(self, slots: Sequence[int]) -> None:
        """See `SlotMemory`."""
        self._channel.post(ClearSlots([int(slot) for slot in slots]))
        super().clear(slots)
