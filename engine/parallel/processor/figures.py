"""What one core of this processor does: micro-figures of which plans are counted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.parallel.processor.reference import Stored

WEIGHT_BYTES: Mapping[Stored, int] = {"int8": 1, "fp32": 4}


@dataclass(frozen=True)
class Curve:
    """Values at numbers of rows, between which they grow evenly."""

    rows: tuple[int, ...]
    values: tuple[float, ...]

    def at(self, rows: float) -> float:
        """Beyond the most rows it grows as the rows do."""
        most = self.rows[-1]
        if rows > most:
            return self.values[-1] * rows / most
        return float(np.interp(rows, self.rows, self.values))


@dataclass(frozen=True)
class CoreFigures:
    """Seconds on one core, of one way to store weights; curves are over the rows of a step.

    `weight` has a curve of the time that all rows take for a weight of a product, for each number
    of bytes that a step reads. `layer` is what a layer of `width` takes beside its products and
    the positions it attends to, `token` what is looked at of a token's logits, `step` a step's
    rest. `own` and `cross` are for a row, a position and a head's value, `encoded` for a token and
    a weight, `scored` for two tokens and a head's value, `began` for a call of the encoder.
    """

    weight: tuple[tuple[float, Curve], ...]
    layer: Curve
    token: Curve
    step: Curve
    own: float
    cross: float
    encoded: float
    scored: float
    began: float
    width: int

    def weight_seconds(self, rows: float, read: float) -> float:
        """For a weight, of a decoder with so many bytes of weights."""
        return weight_seconds(self.weight, rows, read)


def weight_seconds(curves: Sequence[tuple[float, Curve]], rows: float, read: float) -> float:
    """See `CoreFigures`; between sizes it grows evenly on logarithmic scales."""
    sizes = np.log([size for size, _ in curves])
    values = np.log([curve.at(rows) for _, curve in curves])
    return float(np.exp(np.interp(math.log(read), sizes, values)))
