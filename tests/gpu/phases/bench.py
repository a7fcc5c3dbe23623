"""What all phases know: where they run, what is prepared for them, and how much they check."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.contract.manifest import Manifest, read_manifest
from tests.gpu.shapes import BART_LARGE, MARIAN_BASE, SMALL, Shape
from tests.gpu.variant import in_precision


@dataclass(frozen=True)
class Size:
    """How much is checked: on a GPU all, on a processor what takes some seconds.

    `rows` are those of steps, some `profiled`, `in_flight` texts of a saturated engine, `batches`
    those of `large`'s load, whose answers have `large_tokens`.
    """

    texts: int
    limit: int
    beam_texts: int
    precisions: tuple[str, ...]
    rows: tuple[int, ...]
    profiled: tuple[int, ...]
    peer_rows: tuple[int, ...]
    in_flight: tuple[int, ...]
    tokens: int
    shape: Shape
    large: Shape
    batches: tuple[int, ...]
    large_tokens: int
    longest: int
    seconds: float
    """How long a saturated engine is watched, for each number of texts."""


GPU = Size(
    texts=128,
    limit=96,
    beam_texts=32,
    precisions=("fp32", "fp16", "bf16", "int8"),
    rows=(1, 32, 256, 1024),
    profiled=(256, 1024),
    peer_rows=(256, 32, 1),
    in_flight=(1, 32, 64, 256, 1024),
    tokens=32,
    shape=MARIAN_BASE,
    large=BART_LARGE,
    batches=(32, 64, 128),
    large_tokens=128,
    longest=512,
    seconds=2.0,
)
PROCESSOR = Size(
    texts=6,
    limit=16,
    beam_texts=2,
    precisions=("fp32", "bf16", "int8"),
    rows=(1, 4),
    profiled=(4,),
    peer_rows=(4,),
    in_flight=(1, 4),
    tokens=8,
    shape=SMALL,
    large=SMALL,
    batches=(2,),
    large_tokens=8,
    longest=64,
    seconds=0.05,
)


class Bench:
    """`variant` is what `tests.gpu.variant` wrote; `out` is sent back, `scratch` is not."""

    def __init__(self, device: str, variant: Path, out: Path, scratch: Path) -> None:
        self.is_cuda = device == "cuda"
        self.index = 0 if self.is_cuda else None
        self.device = torch.device(device)
        self.variant, self.out, self.scratch = variant, out, scratch
        self.size = GPU if self.is_cuda else PROCESSOR
        self.manifest: Manifest = read_manifest(variant)

    def variant_in(self, precision: str) -> Path:
        """The folder of the variant with such weights."""
        folder = self.scratch / precision
        return folder if folder.exists() else in_precision(self.variant, precision, folder)

    def wait(self) -> None:
        """Returns when the device has nothing to do."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)


def median_seconds(run: Callable[[], object], times: int) -> float:
    """Of several runs, each of which waits for what it began."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)
