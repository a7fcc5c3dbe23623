"""A cheap estimate of a head's logits and a bound of its error: few columns are computed whole.

Estimates are products of half the depth, in coordinates that concentrate what states and columns
have in common, as SVD-softmax has it (Shim et al. 2017, "SVD-softmax: Fast Softmax Approximation on
Large Vocabulary Neural Networks").  Unlike there, none is trusted: with states `x` and columns `w`
in the new coordinates, `x . w` is the sum over the first `rank` of them and, by Cauchy-Schwarz, at
most `|x_rest| |w_rest|` more.  What rounding to INT8 adds is bounded in the same way.  A token
whose bound is below the logit of another one can't be the best.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.export.graphs.builder import Array
from engine.export.precision.sensitivity import QMAX
from engine.native.layout import DEPTH, Bytes, padded

REGULARIZED = 0.03
"""So much of their mean energy is added to all directions: samples leave some out."""

MARGIN = 1e-5
"""Relative, for what FP32 rounds: sums of a thousand products are off by less."""

Columns = Callable[[], Iterator[tuple[Bytes, Array]]]
"""Gives a head's columns some at a time: integers `[width,m]` and their scales `[m]`."""


@dataclass(frozen=True)
class Screen:
    """What estimates the logits of `V` tokens for states of integers `[width]`.

    `rotation [width,width]` gives the coordinates of a state, of which the first `rank` are divided
    by `step` and rounded; `weights [rank,V]` times `scales [V]` are what they are multiplied with.
    A logit is off by at most `|x_rest| of_rest + (|x_first| error + |x_off| norm) of_rounding`,
    where `x_off` is what rounding took from `x_first`, and `error` and `norm` are numbers.
    """

    rotation: Array
    weights: Bytes
    scales: Array
    step: float
    of_rest: Array
    of_rounding: Array
    error: float
    norm: float

    @property
    def rank(self) -> int:
        """How many coordinates are looked at, a multiple of 64."""
        return len(self.weights)


def make_screen(columns: Columns, states: Array) -> Screen | None:
    """The screen of a head, from the states `[n,width]` of some answers, in integers.

    None where a head is too narrow for one.
    """
    width = states.shape[1]
    rank = padded(-(-width // 2), DEPTH)
    if rank >= width:
        return None
    rotation, inverse = _balanced(_energy(states), _energy_of(columns))
    first = (states @ rotation)[:, :rank]
    step = float(np.abs(first).max()) / QMAX
    weights, scales, rest, errors, norms = [], [], [], [], []
    for integers, scale in columns():
        turned = inverse @ (integers * scale)
        largest = np.abs(turned[:rank]).max(axis=0)
        each = np.maximum(largest / QMAX, np.finfo(np.float32).tiny)
        rounded = np.rint(turned[:rank] / each).astype(np.int8)
        weights.append(rounded)
        scales.append(each * step)
        off = np.linalg.norm(turned[:rank] - rounded * each, axis=0)
        errors.append(off + MARGIN * np.linalg.norm(turned, axis=0))
        rest.append(np.linalg.norm(turned[rank:], axis=0))
        norms.append(np.linalg.norm(rounded * each, axis=0))
    error, norm = np.concatenate(errors), np.concatenate(norms)
    means = float(error.mean()), float(norm.mean())
    return Screen(
        rotation=rotation.astype(np.float32),
        weights=np.hstack(weights),
        scales=np.concatenate(scales).astype(np.float32),
        step=step,
        of_rest=(np.concatenate(rest) * (1 + MARGIN)).astype(np.float32),
        of_rounding=(np.maximum(error / means[0], norm / means[1]) * (1 + MARGIN)).astype(
            np.float32
        ),
        error=means[0],
        norm=means[1],
    )


def _energy(rows: Array) -> Array:
    """The second moments `[width,width]` of rows."""
    wide = rows.astype(np.float64)
    return wide.T @ wide / len(wide)


def _energy_of(columns: Columns) -> Array:
    total, count = np.zeros(()), 0
    for integers, scale in columns():
        wide = integers * scale.astype(np.float64)
        total = total + wide @ wide.T
        count += wide.shape[1]
    return np.asarray(total / count)


def _balanced(states: Array, columns: Array) -> tuple[Array, Array]:
    """Coordinates in which both have the same energies, the largest first.

    A state `x` becomes `x @ rotation`, a column `w` becomes `inverse @ w`.  It is the balancing of
    B. C. Moore, "Principal Component Analysis in Linear Systems", IEEE TAC 26 (1981).
    """
    width = len(states)
    regular = [
        one + REGULARIZED * np.trace(one) / width * np.eye(width) for one in (states, columns)
    ]
    root = np.linalg.cholesky(regular[0])
    values, vectors = np.linalg.eigh(root.T @ regular[1] @ root)
    values, vectors = values[::-1], vectors[:, ::-1]
    inverse = (values**-0.25)[:, None] * (root @ vectors).T
    rotation = np.linalg.solve(root.T, vectors) * values**0.25
    return rotation, inverse
