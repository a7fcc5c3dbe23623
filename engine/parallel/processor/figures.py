"""What one core of this processor does: micro-figures of which plans are counted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.parallel.processor.reference import Stored
from engine.parallel.processor.terms import StepTerms

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
    """Seconds on one core, of one way to store weights; curves are of all rows of a step.

    `weight` has a curve for a weight of a product, for each of some numbers of bytes that a step
    reads; `layer`, `token`, `own` and `cross` are for one of the `StepTerms` of these names, `step`
    is a step's rest. `encoded` is for a token and a weight, `scored` for two tokens and a head's
    value, `began` for a call of the encoder. The models that were measured are as wide as `width`.
    """

    weight: tuple[tuple[float, Curve], ...]
    layer: Curve
    token: Curve
    step: Curve
    own: Curve
    cross: Curve
    encoded: float
    scored: float
    began: float
    width: int

    def step_seconds(self, terms: StepTerms, read: float, rows: float) -> float:
        """For a step that reads so many bytes of weights."""
        shares = shares_of(read, [size for size, _ in self.weight])
        weight = float(shares @ [curve.at(rows) for _, curve in self.weight])
        seconds = terms.weights * weight + self.step.at(rows)
        seconds += terms.layers * self.layer.at(rows) + terms.tokens * self.token.at(rows)
        return seconds + terms.own * self.own.at(rows) + terms.cross * self.cross.at(rows)


def shares_of(read: float, sizes: Sequence[float]) -> NDArray[np.float64]:
    """How much each of some `sizes` counts for a step that reads so many bytes, in all 1.

    Between two sizes what is read grows evenly on a logarithmic scale.
    """
    known = np.log(sizes)
    return np.array([np.interp(math.log(read), known, row) for row in np.eye(len(known))])
