"""What rank 0 has the others do: each command is a call that it makes itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
import torch

from engine.parallel.shards.ranks import RankLostError, Ranks
from engine.runtime.sessions.session import DeviceLostError

_FIRST_BYTES = 1 << 14
"""What the first message holds, its length among it: that of a step of some hundred slots."""
_LENGTH_BYTES = 8


class RankCommand(msgspec.Struct, frozen=True, tag=True):
    """A call of a session's memory, state or lane; see there."""


class OpenLane(RankCommand, frozen=True):
    """Makes room for so many slots, in place of those before."""

    capacity: int


class ResetSlots(RankCommand, frozen=True):
    """`TorchMemory.reset`."""


class EncodeSources(RankCommand, frozen=True):
    """`Session.encode`; what it gives is kept for `AdmitSources`."""

    sources: list[list[int]]


class AdmitSources(RankCommand, frozen=True):
    """`TorchMemory.admit` of what was encoded last."""

    first: int
    rows: list[int]


class CopyBeams(RankCommand, frozen=True):
    """`TorchMemory.copy`."""

    sources: list[int]
    targets: list[int]
    lengths: list[int]


class MoveSlot(RankCommand, frozen=True):
    """`TorchMemory.move`."""

    source: int
    target: int


class ClearSlots(RankCommand, frozen=True):
    """`TorchMemory.clear`."""

    slots: list[int]


class TellState(RankCommand, frozen=True):
    """`ShardedState.load`, behind the moves that wait."""

    inputs: bytes
    is_continued: bool


class MakeStep(RankCommand, frozen=True):
    """`TorchLane.step`; `sees` where cross-attention is wanted."""

    rows: int
    width: int
    sees: bool


class SelectTokens(RankCommand, frozen=True):
    """`TorchLane.select`."""

    rows: int
    count: int


class GatherLogits(RankCommand, frozen=True):
    """`ShardedState.whole_logits`."""

    rows: int


class StopFollowing(RankCommand, frozen=True):
    """Ends a rank."""


AnyCommand = (
    OpenLane
    | ResetSlots
    | EncodeSources
    | AdmitSources
    | CopyBeams
    | MoveSlot
    | ClearSlots
    | TellState
    | MakeStep
    | SelectTokens
    | GatherLogits
    | StopFollowing
)


class CommandChannel:
    """Rank 0 sends commands, and all other ranks receive the same."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._waiting: list[RankCommand] = []
        self._sent = 0
        self._lost = False
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(list[AnyCommand])

    def post(self, command: RankCommand) -> None:
        """Has a command, which takes no collective, go with the next one that is sent."""
        if self._ranks.layout.group > 1:
            self._waiting.append(command)

    def send(self, command: RankCommand) -> None:
        """Sends a command behind those that were posted; the caller then does it too.

        Raises:
            RankLostError: a rank is lost, now or before.

        """
        if self._lost:
            raise RankLostError("a rank of this group was lost before.")
        self.post(command)
        if not self._waiting:
            return
        content = self._encoder.encode(self._waiting)
        self._waiting.clear()
        self._sent += 1
        first = torch.zeros(_FIRST_BYTES, dtype=torch.uint8)
        view = first.numpy()
        view[:_LENGTH_BYTES] = np.frombuffer(len(content).to_bytes(_LENGTH_BYTES), np.uint8)
        data = np.frombuffer(content, np.uint8)
        fitting = min(data.size, _FIRST_BYTES - _LENGTH_BYTES)
        view[_LENGTH_BYTES : _LENGTH_BYTES + fitting] = data[:fitting]
        self._ranks.broadcast(first)
        if fitting < data.size:
            self._ranks.broadcast(torch.from_numpy(data[fitting:].copy()))

    def receive(self) -> list[AnyCommand]:
        """The commands that come next, in their order; waits for any time.

        Raises:
            RankLostError: rank 0 is gone.

        """
        first = torch.zeros(_FIRST_BYTES, dtype=torch.uint8)
        self._ranks.broadcast(first)
        content = first.numpy().tobytes()
        length = int.from_bytes(content[:_LENGTH_BYTES])
        content = content[_LENGTH_BYTES : _LENGTH_BYTES + length]
        if len(content) < length:
            rest = torch.zeros(length - len(content), dtype=torch.uint8)
            self._ranks.broadcast(rest)
            content += rest.numpy().tobytes()
        return self._decoder.decode(content)

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """Surrounds what rank 0 sends and does: what then fails here leaves others behind.

        Raises:
            RankLostError: a rank is lost, or this one failed in the middle.

        """
        before = self._sent
        try:
            yield
        except DeviceLostError:
            self._lost = True
            raise
        except Exception as error:
            if self._sent == before:
                raise
            self._lost = True
            raise RankLostError(f"rank 0 of this group failed: {error}.") from error
