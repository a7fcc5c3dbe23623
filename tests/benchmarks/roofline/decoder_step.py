"""How long a decoder step takes, and how much it computes and reads at least."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract.manifest import Manifest, read_manifest
from engine.native.weights import read_weights
from engine.runtime.batching.running_batch import RunningBatch
from engine.runtime.sessions.native_session import NativeSession
from tests.engine.native.answers import greedy_rows

_WARM_STEPS, _STEPS = 4, 12


@dataclass(frozen=True, slots=True)
class StepCost:
    """INT8 products of one row in one step, each of which reads a weight of one byte.

    Attention, norms and the choice of a token, in floating point, come on top.
    """

    products: int


def step_cost(folder: Path) -> StepCost:
    """That of the variant's decoder with its head, padding included."""
    _, tensors = read_weights(folder)
    return StepCost(
        sum(
            tensor.size
            for name, tensor in tensors.items()
            if name.endswith(".int8") and name.startswith(("decoder.", "head."))
        )
    )


def seconds_of_step(folder: Path, sources: Sequence[list[int]], repetitions: int) -> float:
    """The median time of a step with a row for each source, on one lane."""
    manifest = read_manifest(folder)
    session = NativeSession(folder, manifest)
    return statistics.median(_seconds(session, manifest, sources) for _ in range(repetitions))


def _seconds(session: NativeSession, manifest: Manifest, sources: Sequence[list[int]]) -> float:
    running = RunningBatch(session, len(sources))
    limit = 2 * (_WARM_STEPS + _STEPS)
    running.start(greedy_rows(manifest, sources, [limit] * len(sources)))
    running.step(_WARM_STEPS, seconds=60)
    began = time.perf_counter()
    _, steps = running.step(_STEPS, seconds=60)
    return (time.perf_counter() - began) / steps
