"""What a session has on the device for one lane: memory, state, and the step over both."""

from torch import Tensor

from engine.contract.manifest import Manifest
from engine.runtime.sessions.caches import padded
from engine.runtime.sessions.torch.decoder import DecoderStep
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.graphs import StepGraphs
from engine.runtime.sessions.torch.memory import TorchMemory, memory_bytes
from engine.runtime.sessions.torch.model import TorchModel
from engine.runtime.sessions.torch.state import LaneState


class TorchLane:
    """Room for `capacity` slots, and for `steps` steps that are made without the host.

    Raises:
        TorchMemoryError: the device has not so much memory.

    """

    def __init__(
        self,
        model: TorchModel,
        manifest: Manifest,
        capacity: int,
        steps: int,
        device: TorchDevice,
    ) -> None:
        what = f"{manifest.name} with {capacity} slots"
        device.require(memory_bytes(model, manifest, capacity), what)
        self.capacity = capacity
        self._model, self._device, self._eos_id = model, device, manifest.eos_id
        with device.use():
            self.memory = TorchMemory(model, manifest, capacity, device)
            self.state = LaneState(model, capacity, steps, device)
            self._longest = max(self.memory.own.shape[3], self.memory.cross.shape[3])
            self._graphs: StepGraphs | None = None
            if device.is_cuda:
                parts = self._work, self.state.rest
                self._graphs = StepGraphs(*parts, capacity, self._longest, device)

    def step(self, rows: int, width: int, seen: list[Tensor] | None = None) -> None:
        """A step of the first rows, none of which has more than `width` positions, or attends so.

        Cross-attention goes behind `seen` (see `DecoderStep`), which no graph gives.
        """
        if self._graphs is not None and seen is None:
            self._graphs.run(rows, width)
        else:
            self._work(rows, min(padded(width), self._longest), seen)

    def _work(self, rows: int, width: int, seen: list[Tensor] | None = None) -> None:
        memory, state = self.memory, self.state
        own, cross = (array[:, :rows, :, :width] for array in (memory.own, memory.cross))
        step = DecoderStep(self._model, own, cross, seen)
        x = step.run(*state.inputs(rows))
        state.take(x, rows, memory.allowed, self._eos_id)
