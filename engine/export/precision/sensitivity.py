"""How much each product suffers when it is rounded to INT8, and what helps it.

For every product of a graph its sampled inputs x `[n,K]` and its matrix W `[K,M]` are rounded as
`quantization` does it, and the relative error ||Q(x) Q(W) - x W|| / ||x W|| (Frobenius) says what
that costs.  Where a few channels of x are far larger than the others, the scale that all channels
share wastes the range; SmoothQuant (Xiao et al. 2023, arXiv:2211.10438) moves part of the scale
into the matrix: x / s and s W with s_j = max|x_j|^a / max|W_j|^(1-a).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from engine.export.graphs.builder import Array
from engine.export.graphs.constants import values_of
from engine.export.precision.calibration import Observation, Seen, quantizable

QMAX = 127

PART = 4 << 20
"""Values of a matrix that are computed with at once: heads of large vocabularies are very wide."""

LEAST_SCALE = 1e-7
"""The smallest scale of a column: FP16 has to hold it, where it would be 0 below 6e-8."""

MIGRATION_FROM = 0.05
"""The relative error from which a migration of scales is tried."""

MIGRATION_GAIN = 0.7
"""A migration costs an operation, so it has to bring the error down to this share."""

STRENGTHS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""The values of `a` that are tried."""


@dataclass(frozen=True)
class Rounding:
    """How one product is rounded, and what it costs.

    `scale` is that of its input; `divisors [K]` are what the input's channels are divided by and
    the matrix's rows multiplied with, None without migration; `error` is relative, see above, and
    `plain_error` that without migration. `columns [M]` are scales of the matrix's columns that the
    checkpoint brings; None: those of their largest values.
    """

    scale: float
    error: float
    plain_error: float
    divisors: Array | None = field(default=None, repr=False)
    strength: float = 0.0
    columns: Array | None = field(default=None, repr=False)

    def integers(self, rows: Array) -> Array:
        """Inputs `[n,K]` as they are rounded."""
        divided = rows if self.divisors is None else rows / self.divisors
        return np.clip(np.rint(divided / np.float32(self.scale)), -QMAX, QMAX)

    def columns_of(self, weight: Array) -> Iterator[tuple[NDArray[np.int8], Array]]:
        """A matrix `[K,M]`, some columns at a time: `[K,m]`, and the scales of sums `[m]`."""
        for part in _columns(weight):
            given = None if self.columns is None else self.columns[part]
            integers, scale = _round_columns(weight[:, part], self.divisors, given)
            yield integers, scale * np.float32(self.scale)


def measure_products(model: onnx.ModelProto, seen: Observation) -> dict[str, Rounding]:
    """The rounding of every product of a graph that could be INT8, by the node's name."""
    constants = {constant.name: constant for constant in model.graph.initializer}
    products = quantizable(model)
    scales = {name: activation_scale(one.magnitudes) for name, one in seen.inputs.items()}
    found = {}
    for node in model.graph.node:
        if node.name in products:
            source = products[node.name]
            weight = values_of(constants[node.input[1]])
            found[node.name] = _measure(seen.inputs[source], weight, scales[source])
    return found


def _measure(seen: Seen, weight: Array, scale: float) -> Rounding:
    plain = _error(seen.rows, weight, scale)
    best = Rounding(scale, plain, plain)
    if plain < MIGRATION_FROM:
        return best
    for strength in STRENGTHS:
        divisors = _divisors(seen, weight, strength)
        moved = Seen(seen.rows / divisors, seen.maxima / divisors)
        own = activation_scale(moved.magnitudes)
        error = _error(seen.rows, weight, own, divisors)
        if error < best.error:
            best = Rounding(own, error, plain, divisors, strength)
    return best if best.error <= MIGRATION_GAIN * plain else Rounding(scale, plain, plain)


def _divisors(seen: Seen, weight: Array, strength: float) -> Array:
    tiny = np.float32(1e-5)
    inputs = np.maximum(seen.maxima, tiny * max(1.0, float(seen.maxima.max())))
    rows = np.maximum(np.maximum(weight.max(axis=1), -weight.min(axis=1)), tiny)
    divisors: Array = inputs**strength / rows ** (1 - strength)
    centred: Array = divisors / np.exp(np.log(divisors).mean())
    return centred.astype(np.float32)


def relative_error(rows: Array, weight: Array, rounding: Rounding) -> float:
    """The relative error of `rows @ weight`, see above."""
    return _error(rows, weight, rounding.scale, rounding.divisors, rounding.columns)


def _error(
    rows: Array,
    weight: Array,
    scale: float,
    divisors: Array | None = None,
    given: Array | None = None,
) -> float:
    """Likewise; `divisors` are those of a migration, `given` the scales of columns."""
    moved = rows if divisors is None else rows / divisors
    rounded = np.clip(np.rint(moved / scale), -QMAX, QMAX) * np.float32(scale)
    rounded = rounded.astype(np.float32)
    size = difference = 0.0
    for part in _columns(weight):
        columns = weight[:, part]
        exact = rows @ columns
        own = None if given is None else given[part]
        integers, scales = _round_columns(columns, divisors, own)
        product = rounded @ (integers.astype(np.float32) * scales)
        size += float(np.linalg.norm(exact)) ** 2
        difference += float(np.linalg.norm(product - exact)) ** 2
    return float(np.sqrt(difference / size)) if size else 0.0


def round_matrix(
    weight: Array, divisors: Array | None = None, scales: Array | None = None
) -> tuple[Array, Array]:
    """A matrix `[K,M]` as INT8, with the scale of each of its columns `[M]`.

    With `divisors [K]` its rows are multiplied with them first; `scales [M]` are given ones.
    """
    integers = np.empty(weight.shape, np.int8)
    scale = np.empty(weight.shape[1], np.float32)
    for part in _columns(weight):
        given = None if scales is None else scales[part]
        integers[:, part], scale[part] = _round_columns(weight[:, part], divisors, given)
    return integers, scale


def _round_columns(
    columns: Array, divisors: Array | None, scale: Array | None = None
) -> tuple[NDArray[np.int8], Array]:
    if divisors is not None:
        columns = columns * divisors[:, None]
    if scale is None:
        scale = np.maximum(np.abs(columns).max(axis=0) / np.float32(QMAX), np.float32(LEAST_SCALE))
    integers = np.clip(np.rint(columns / scale), -QMAX, QMAX).astype(np.int8)
    return integers, scale.astype(np.float32)


def _columns(weight: Array) -> Iterator[slice]:
    """The columns of a matrix in groups of about `PART` values."""
    width = max(1, PART // max(1, weight.shape[0]))
    for start in range(0, weight.shape[1], width):
        yield slice(start, start + width)


def activation_scale(magnitudes: Array) -> float:
    """The scale with the least mean squared error: rounding weighed against clipping."""
    largest = float(magnitudes.max())
    if largest == 0.0:
        return 1.0 / QMAX
    candidates = [largest * share for share in np.linspace(0.3, 1.0, 29)]
    errors = [_squared_error(magnitudes, limit / QMAX) for limit in candidates]
    return float(candidates[int(np.argmin(errors))] / QMAX)


def _squared_error(values: Array, scale: float) -> float:
    rounded = np.minimum(np.rint(values / scale), QMAX) * scale
    return float(np.mean((rounded - values) ** 2))
