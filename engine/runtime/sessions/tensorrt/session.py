"""Runs the plans of a generating variant on one GPU.

There are two decoder steps: one whose rows all take the most probable token, and one that gives
what a choice needs.  Both run for buckets of rows, 1, 2, 4, ..., and of positions that are read of
caches and sources, 64, 128, ...; all are captured before a session is ready.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.contract.manifest import Manifest
from engine.runtime.decoding.selection import Floats
from engine.runtime.sessions.caches import key_value_names
from engine.runtime.sessions.session import Session, with_candidates
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.tensorrt.caches import DeviceCaches, Encoded
from engine.runtime.sessions.tensorrt.cuda import Cuda, DeviceArray
from engine.runtime.sessions.tensorrt.encoder import PlanEncoder
from engine.runtime.sessions.tensorrt.engine import PlanEngine, scratch_for
from engine.runtime.sessions.tensorrt.library import TensorRT
from engine.runtime.sessions.tensorrt.memory import DeviceMemory
from engine.runtime.sessions.tensorrt.plan import (
    CHOICE_PLAN,
    ENCODER_PLAN,
    STEP_PLAN,
    PlanError,
    PlanManifest,
    require_plan,
)
from engine.runtime.sessions.tensorrt.shapes import (
    CACHE_POSITIONS,
    SOURCE_POSITIONS,
    Size,
    bucket,
    buckets,
)
from engine.runtime.sessions.tensorrt.step import CANDIDATES, PlanStep

SHORTEST = 64
"""Positions that are read at least: fewer save little, and each width has its graphs."""


class TensorRTSession(Session):
    """See `Session`: the variant in `folder` on one GPU, for at most `capacity` rows.

    Raises:
        PlanError: the variant has no plan that runs here, or the plan is not what it should be.

    """

    def __init__(
        self, folder: Path, manifest: Manifest, capacity: int, library: TensorRT, cuda: Cuda
    ) -> None:
        self.manifest = manifest
        place, plan = require_plan(
            folder, library.flavour, library.version, cuda.compute_capability
        )
        if capacity > plan.max_rows:
            raise PlanError(
                f"{place} takes {plan.max_rows} rows at once, and max_rows in config.pbtxt is "
                f"{capacity}: lower it, or run `seqway-models build --max-rows {capacity}`."
            )
        self._plan: PlanManifest = plan
        self._capacity = capacity
        names = ENCODER_PLAN, STEP_PLAN, CHOICE_PLAN
        self._engines = {name: PlanEngine(library, place / name) for name in names}
        layers = manifest.decoder_layers
        self._past = key_value_names("past_", layers)
        self._present = key_value_names("present_", layers)
        self._cross = key_value_names("cross_", layers)
        self._require_aliases()
        self._start(cuda)

    def _require_aliases(self) -> None:
        for engine in (self._engines[STEP_PLAN], self._engines[CHOICE_PLAN]):
            for past, present in zip(self._past, self._present, strict=True):
                if engine.alias(present) != past:
                    raise PlanError(
                        f"{engine.plan} does not write {present} over {past}: run "
                        "`seqway-models build`."
                    )

    def _start(self, cuda: Cuda) -> None:
        self._cuda = cuda
        plan, engines, capacity = self._plan, self._engines, self._capacity
        longest = max(plan.max_source, plan.cache_length)
        widths = buckets(longest, SHORTEST)
        self._memory = self._make_memory(widths)
        own, cross = self._memory.own.arrays, self._memory.cross.arrays
        shared = dict(zip(self._past, own, strict=True))
        shared |= dict(zip(self._present, own, strict=True))
        shared |= dict(zip(self._cross, cross, strict=True))
        shared |= dict.fromkeys((CACHE_POSITIONS, SOURCE_POSITIONS), self._counted(longest))
        scratch = scratch_for(cuda, list(engines.values()))
        self._rows = buckets(capacity, 1)
        sizes = [self._memory.size(rows, width) for rows in self._rows for width in widths]
        self._step = PlanStep(engines[STEP_PLAN], cuda, sizes, shared, scratch)
        self._choice = PlanStep(engines[CHOICE_PLAN], cuda, sizes, shared, scratch)
        largest = Size(min(capacity, plan.encoder_rows), plan.max_source)
        encoder = engines[ENCODER_PLAN]
        self._encoder = PlanEncoder(encoder, cuda, largest, self._cross, scratch)
        self.extra: Mapping[str, Floats] = {}

    def _make_memory(self, widths: list[int]) -> DeviceMemory:
        manifest, plan = self.manifest, self._plan
        item = 4 if self._engines[STEP_PLAN].dtype(self._past[0]) == "FLOAT" else 2
        shape = len(self._past), self._capacity, manifest.decoder_heads, manifest.head_width * item
        own = DeviceCaches(self._cuda, *shape, plan.cache_length, fixed=True)
        cross = DeviceCaches(self._cuda, *shape, plan.max_source, fixed=False)
        return DeviceMemory(own, cross, widths)

    def _counted(self, count: int) -> DeviceArray:
        """0, 1, ... on the device."""
        numbers = self._cuda.pinned((count,), np.int64)
        numbers[...] = np.arange(count)
        place = self._cuda.empty(numbers.nbytes)
        self._cuda.upload(numbers, place)
        self._cuda.wait()
        return place

    def sibling(self) -> "TensorRTSession":
        """See `Session`: the same engines, memory and a stream of its own."""
        twin = object.__new__(TensorRTSession)
        twin.__dict__.update(self.__dict__)
        twin._start(self._cuda.sibling())
        return twin

    @property
    def outputs(self) -> frozenset[str]:
        """See `Session`."""
        return with_candidates(self._engines[CHOICE_PLAN].outputs) - {*CANDIDATES}

    def slots(self, capacity: int) -> Slots:
        """See `Session`; keys and values lie on the device."""
        assert capacity <= self._capacity
        self._cuda.use()
        self._memory.reset()
        return Slots(self.manifest, capacity, self._memory)

    def encode(self, sources: list[list[int]]) -> Encoded:
        """See `Session`."""
        self._cuda.use()
        return self._encoder.encode(sources, self.manifest.pad_id)

    def step(self, slots: Slots, extra: frozenset[str] = frozenset()) -> None:
        """See `Session`."""
        self._cuda.use()
        live, memory = slots.rows, self._memory
        positions, sources = slots.positions[:live].max(), slots.source_lengths[:live].max()
        memory.settle()
        memory.widen(live, int(max(positions + 1, sources)))
        size = memory.size(bucket(self._rows, live))
        step = self._choice if extra else self._step
        self.extra = step.run(slots, size, sorted(extra - {"candidates"}))
        if "candidates" in extra:
            step.find_candidates(slots)

    def logits(self, slot: int) -> Floats:
        """See `Session`."""
        return self.extra["logits"][slot] if "logits" in self.extra else self._choice.logits(slot)
