"""The roofline: the least time that a step can take on this processor."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peaks:
    """What one core and all cores do at most.

    `products` are INT8 products a second; `weights` bytes a second from where the decoder's weights
    lie when they are read step after step, and `memory` from main memory.
    """

    isa: str
    cores: int
    products: float
    products_of_all: float
    weights: float
    memory: float
    memory_of_all: float


@dataclass(frozen=True, slots=True)
class StepRoof:
    """A step of so many rows on one lane: measured, and the bounds of its products and weights."""

    rows: int
    seconds: float
    compute_seconds: float
    read_seconds: float

    @property
    def bound(self) -> str:
        """What bounds it."""
        return "products" if self.compute_seconds > self.read_seconds else "weights"

    @property
    def share(self) -> float:
        """Of the roof that it reaches."""
        return max(self.compute_seconds, self.read_seconds) / self.seconds


def step_roof(rows: int, seconds: float, products: int, peaks: Peaks) -> StepRoof:
    """`products` are those of one row, which read as many bytes, once for all rows."""
    return StepRoof(rows, seconds, rows * products / peaks.products, products / peaks.weights)
