"""The session of a variant that runs on the ranks of a group, which rank 0 has."""

from torch import Tensor

from engine.contract.manifest import Manifest
from engine.parallel.shards.commands import (
    CommandChannel,
    EncodeSources,
    GatherLogits,
    OpenLane,
    SelectTokens,
    StopFollowing,
)
from engine.parallel.shards.encoder import encode_part
from engine.parallel.shards.lane import LeadingLane
from engine.parallel.shards.model import ShardedModel
from engine.parallel.shards.state import ShardedState
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.slots import Advance, Slots
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.encoder import encode_sources
from engine.runtime.sessions.torch.errors import TorchInputError
from engine.runtime.sessions.torch.lane import TorchLane
from engine.runtime.sessions.torch.memory import TorchSources
from engine.runtime.sessions.torch.session import TorchSession


class ShardedSession(TorchSession):
    """See `Session`; what it does, the ranks of `channel` do too.  The host joins beams.

    A call raises `RankLostError` where one of them is lost.
    """

    def __init__(
        self,
        model: ShardedModel,
        manifest: Manifest,
        capacity: int,
        device: TorchDevice,
        channel: CommandChannel,
    ) -> None:
        self._channel = channel
        self._open(model, manifest, device, 0, capacity)

    def sibling(self) -> TorchSession:
        """See `Session`: there is none.

        Raises:
            ValueError: always.

        """
        raise ValueError("a variant that is divided over ranks has one lane: set lanes to 1.")

    def close(self) -> None:
        """Ends the other ranks."""
        self._channel.send(StopFollowing())

    def encode(self, sources: list[list[int]]) -> TorchSources:
        """See `Session`."""
        with self._channel.in_step():
            return super().encode(sources)

    def step(self, slots: Slots, extra: frozenset[str] = frozenset()) -> None:
        """See `Session`."""
        with self._channel.in_step():
            super().step(slots, extra)

    def run(self, slots: Slots, most: int, seconds: float, interrupt: Interrupt) -> Advance:
        """See `Session`."""
        with self._channel.in_step():
            return super().run(slots, most, seconds, interrupt)

    def expect_beams(self, _beams: Ints, _renormalizes: bool) -> None:
        """See `Session`."""

    def logits(self, slot: int) -> Floats:
        """See `Session`."""
        if slot >= self._stepped:
            raise TorchInputError("the last step had no such row")
        with self._channel.in_step():
            logits: Floats = self._whole_logits(self._stepped)[slot]
            return logits

    def _new_lane(self, capacity: int) -> TorchLane:
        self._channel.send(OpenLane(capacity))
        parts = self._model, self.manifest, capacity, self._steps, self._device
        return LeadingLane(*parts, self._channel)

    def _encode(self, sources: list[list[int]]) -> TorchSources:
        self._channel.send(EncodeSources(sources))
        return encode_sources(self._model, self._device, sources, encode_part)

    def _select(self, rows: int, count: int) -> None:
        self._channel.send(SelectTokens(rows, count))
        super()._select(rows, count)

    def _outputs(
        self, slots: Slots, names: frozenset[str], seen: list[Tensor]
    ) -> dict[str, Floats]:
        divided = names & {"logits", "suppressed_logits"}
        whole = {"logits": self._whole_logits(slots.rows)} if divided else {}
        found = super()._outputs(slots, names - {"logits"}, seen)
        return found | {name: whole[name] for name in names & whole.keys()}

    def _whole_logits(self, rows: int) -> Floats:
        """Those of all ranks' tokens; the state has their suppressed ones then too."""
        state = self._used.state
        assert isinstance(state, ShardedState)
        self._channel.send(GatherLogits(rows))
        with self._device.use():
            logits = state.whole_logits(rows)
        return self._to_host(logits)
