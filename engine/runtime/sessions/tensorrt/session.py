"""Runs the two plans of a generating variant, the step as a CUDA graph for each bucket.

B is a bucket of rows: 1, 2, 4, ... up to the plan's limit.  Rows beyond the live ones are computed
and thrown away; they hold old values and positions inside the cache, since a write outside it would
be dropped in silence.  Masked positions are still multiplied, so memory never keeps what is not
finite: what a row that made such values leaves is cleared.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from engine.contract.manifest import Manifest
from engine.runtime.decoding.selection import Floats
from engine.runtime.sessions.caches import LENGTH_STEP, key_value_names, padded
from engine.runtime.sessions.masks import MASKED, mask_of
from engine.runtime.sessions.memory import ArrayMemory
from engine.runtime.sessions.session import Session, with_candidates, without_candidates
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.tensorrt.caches import DeviceCaches, Encoded
from engine.runtime.sessions.tensorrt.cuda import Cuda
from engine.runtime.sessions.tensorrt.engine import PlanContext, PlanEngine
from engine.runtime.sessions.tensorrt.library import TensorRT
from engine.runtime.sessions.tensorrt.plan import PlanError, PlanManifest, require_plan

ENCODER_PLAN, STEP_PLAN = "encoder.plan", "decoder_step.plan"


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
        engines = PlanEngine(library, place / ENCODER_PLAN), PlanEngine(library, place / STEP_PLAN)
        self._encoder_engine, self._step_engine = engines
        layers = manifest.decoder_layers
        self._past = key_value_names("past_", layers)
        self._present = key_value_names("present_", layers)
        self._cross = key_value_names("cross_", layers)
        self._require_aliases()
        self._start(cuda)

    def _require_aliases(self) -> None:
        for past, present in zip(self._past, self._present, strict=True):
            if self._step_engine.alias(present) != past:
                raise PlanError(
                    f"{self._step_engine.plan} does not write {present} over {past}: run "
                    "`seqway-models build`."
                )

    def _start(self, cuda: Cuda) -> None:
        self._cuda = cuda
        manifest, rows, width = self.manifest, self._capacity, self._plan.max_source
        item = 4 if self._step_engine.dtype(self._past[0]) == "FLOAT" else 2
        shape = len(self._past), rows, manifest.decoder_heads, manifest.head_width, item
        self._self_caches = DeviceCaches(cuda, *shape, [self._plan.cache_length])
        self._cross_caches = DeviceCaches(cuda, *shape, buckets(width, LENGTH_STEP))
        own = dict(zip(self._past, self._self_caches.arrays, strict=True))
        own |= dict(zip(self._present, self._self_caches.arrays, strict=True))
        own |= dict(zip(self._cross, self._cross_caches.arrays, strict=True))
        self._encoder = PlanContext(self._encoder_engine, cuda, rows, width, {})
        self._step = PlanContext(self._step_engine, cuda, rows, width, own)
        self._rows = buckets(rows, 1)
        self._steps: dict[tuple[int, int], Callable[[], None]] = {}
        self.extra: Mapping[str, Floats] = {}

    def sibling(self) -> "TensorRTSession":
        """See `Session`: the same engines, memory and a stream of its own."""
        twin = object.__new__(TensorRTSession)
        twin.__dict__.update(self.__dict__)
        twin._start(self._cuda.sibling())
        return twin

    @property
    def outputs(self) -> frozenset[str]:
        """See `Session`."""
        return with_candidates(self._step_engine.outputs)

    def slots(self, capacity: int) -> Slots:
        """See `Session`; keys and values lie on the device."""
        assert capacity <= self._capacity
        self._cuda.use()
        self._self_caches.reset()
        self._cross_caches.reset()
        memory = ArrayMemory(self._self_caches, self._cross_caches)
        return Slots(self.manifest, capacity, memory)

    def encode(self, sources: list[list[int]]) -> Encoded:
        """See `Session`."""
        self._cuda.use()
        width = padded(max(map(len, sources)))
        context, count = self._encoder, len(sources)
        rows = next(size for size in self._rows if size >= count)
        ids = context.host("input_ids", rows, width)
        ids[...] = self.manifest.pad_id
        mask = np.full((rows, 1, 1, width), MASKED, np.float32)
        mask[count:] = 0
        for row, source in enumerate(sources):
            ids[row, : len(source)] = source
            mask[row, ..., : len(source)] = 0
        context.set_mask("mask", mask, rows, width)
        context.set_shapes(rows, width)
        for name in ("input_ids", "mask"):
            context.upload(name, rows, width)
        context.run()
        self._cuda.wait()
        return Encoded([context.buffer(name) for name in self._cross], width)

    def step(self, slots: Slots, extra: frozenset[str] = frozenset()) -> None:
        """See `Session`."""
        self._cuda.use()
        live, width = slots.rows, self._cross_caches.length
        rows = next(size for size in self._rows if size >= live)
        self._fill(slots, rows, width)
        key = rows, width
        if key not in self._steps:
            self._steps[key] = self._prepare(rows, width)
        self._steps[key]()
        names = without_candidates(extra)
        taken = {name: self._step.download(name, rows, width) for name in names}
        self._cuda.wait()
        slots.next_ids[:live] = self._step.host("next_ids", rows, width)[:live]
        slots.log_probs[:live] = self._step.host("log_probs", rows, width)[:live]
        self.extra = {name: array[:live] for name, array in taken.items()}
        if "logits" in names:
            slots.find_candidates(self.extra["logits"])

    def _fill(self, slots: Slots, rows: int, width: int) -> None:
        live = slots.rows
        for name, array in (("ids", slots.ids), ("positions", slots.positions)):
            place = self._step.host(name, rows, width)
            place[:live] = array[:live]
            place[live:] = 0
        own = mask_of(slots.positions[:live] + 1, self._self_caches.length)
        self._step.set_mask("self_mask", own, rows, width)
        cross = mask_of(slots.source_lengths[:live], width)
        self._step.set_mask("cross_mask", cross, rows, width)

    def _prepare(self, rows: int, width: int) -> Callable[[], None]:
        """The step for so many rows and source positions, from host memory to host memory."""

        def work() -> None:
            for name in ("ids", "positions", "self_mask", "cross_mask"):
                self._step.upload(name, rows, width)
            self._step.run()
            for name in ("next_ids", "log_probs"):
                self._step.download(name, rows, width)

        # A step that is run twice writes the very token again.
        return self._step.replayable(work, rows, width)


def buckets(largest: int, first: int) -> list[int]:
    """`first`, twice that, and so on; the last is `largest`."""
    sizes = [first]
    while sizes[-1] < largest:
        sizes.append(min(2 * sizes[-1], largest))
    return sizes
