"""A rank that does what rank 0 does."""

import numpy as np

from engine.contract.manifest import Manifest
from engine.parallel.shards.commands import (
    AdmitSources,
    AnyCommand,
    ClearSlots,
    CommandChannel,
    CopyBeams,
    EncodeSources,
    GatherLogits,
    MakeStep,
    MoveSlot,
    OpenLane,
    ResetSlots,
    SelectTokens,
    StopFollowing,
    TellState,
)
from engine.parallel.shards.encoder import encode_part
from engine.parallel.shards.lane import PARTS
from engine.parallel.shards.model import ShardedModel
from engine.parallel.shards.state import ShardedState
from engine.runtime.decoding.selection import Ints
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.encoder import encode_sources
from engine.runtime.sessions.torch.lane import TorchLane
from engine.runtime.sessions.torch.memory import TorchSources
from engine.runtime.sessions.torch.session import STEPS


class Follower:
    """One of the ranks behind a `ShardedSession`, with its part of the same model.

    It makes room for at most `capacity` slots.
    """

    def __init__(
        self,
        model: ShardedModel,
        manifest: Manifest,
        capacity: int,
        device: TorchDevice,
        channel: CommandChannel,
    ) -> None:
        self._model, self._manifest, self._capacity = model, manifest, capacity
        self._device, self._channel = device, channel
        self._lane: TorchLane | None = None
        self._encoded: TorchSources | None = None

    def run(self) -> None:
        """Follows until rank 0 ends it.

        Raises:
            RankLostError: another rank is gone, or does not answer.

        """
        while True:
            for command in self._channel.receive():
                if isinstance(command, StopFollowing):
                    return
                with self._device.use():
                    self._do(command)

    def _do(self, command: AnyCommand) -> None:
        match command:
            case EncodeSources(sources):
                self._encoded = encode_sources(self._model, self._device, sources, encode_part)
            case OpenLane(capacity):
                self._open(capacity)
            case MakeStep(rows, width, sees):
                self._used.step(rows, width, [] if sees else None)
            case SelectTokens(rows, count):
                self._used.select(rows, count)
            case TellState(inputs, is_continued):
                self._used.memory.settle()
                self._state.load(inputs, is_continued=is_continued)
            case GatherLogits(rows):
                self._state.whole_logits(rows)
            case _:
                self._remember(command)

    def _remember(self, command: AnyCommand) -> None:
        memory = self._used.memory
        match command:
            case AdmitSources(first, rows):
                assert self._encoded is not None, "sources come first"
                memory.admit(first, self._encoded, rows)
            case CopyBeams(sources, targets, lengths):
                memory.copy(*(_ints(one) for one in (sources, targets, lengths)))
            case MoveSlot(source, target):
                memory.move(source, target, 0, 0)
            case ClearSlots(slots):
                memory.clear(slots)
            case ResetSlots():
                memory.reset()

    def _open(self, capacity: int) -> None:
        assert capacity <= self._capacity, "ranks are started with the same capacity"
        self._lane = None  # gives up its memory first
        steps = STEPS if self._device.is_cuda else 1
        self._lane = TorchLane(self._model, self._manifest, capacity, steps, self._device, PARTS)

    @property
    def _used(self) -> TorchLane:
        assert self._lane is not None, "a lane is opened first"
        return self._lane

    @property
    def _state(self) -> ShardedState:
        assert isinstance(self._used.state, ShardedState)
        return self._used.state


def _ints(numbers: list[int]) -> Ints:
    return np.array(numbers, np.int64)
