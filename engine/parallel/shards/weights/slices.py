"""Cuts a rank's part out of the tensors of a variant, as they are stored.

What is cut is a view of the mapped file where the parts begin and end at whole groups of columns,
so that a rank reads its own part alone; else a copy of that part.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.native.layout import LANES, pad, padded
from engine.parallel.shards.division import Portion

Stored = NDArray[Any]

_PRODUCT = re.compile(r"(.+)\.(float|half|brain|int8|inputs|scales|bias)")
_TABLE = re.compile(r"(source_embedding|embedding)(\.half|\.brain)?")
_NATIVE = re.compile(r"screen|.*\.sums$")
"""What native code alone reads."""

_QUARTERS = 4
"""Inputs of an INT8 product that lie side by side."""


def shard(
    model: Mapping[str, Any], tensors: Mapping[str, Stored], rank: int, ranks: int
) -> tuple[dict[str, Any], dict[str, Stored]]:
    """What `model.json` would say of part `rank` of `ranks`, and that part's tensors.

    Suppressed tokens keep their numbers in the whole vocabulary.
    """
    described, cut = dict(model), _Cut(model, rank, ranks)
    for stack in ("encoder", "decoder"):
        for part in ("heads", "hidden"):
            described[f"{stack}_{part}"] = model[f"{stack}_{part}"] // ranks
    for name in ("vocabulary", "source_vocabulary"):
        described[name] = Portion.of(model[name], rank, ranks).size
    kept = {name: array for name, array in tensors.items() if not _NATIVE.match(name)}
    return described, {name: cut(name, array) for name, array in kept.items()}


class _Cut:
    """Makes a part's tensor of a whole one, by its name."""

    def __init__(self, model: Mapping[str, Any], rank: int, ranks: int) -> None:
        self._model, self._rank, self._ranks = model, rank, ranks

    def __call__(self, name: str, array: Stored) -> Stored:
        if table := _TABLE.fullmatch(name):
            own = table[1] == "source_embedding"
            rows = self._share(self._model["source_vocabulary" if own else "vocabulary"])
            return array[rows.first : rows.last]
        if name.endswith((".relative", ".global_relative")):
            heads = self._share(array.shape[0])
            return array[heads.first : heads.last]
        product = _PRODUCT.fullmatch(name)
        if product is None or ".norm" in name or "_norm" in name:
            return array
        where, kind = product[1], product[2]
        stack, part = where.partition(".")[0], where.rpartition(".")[2]
        if part in ("output", "down"):
            depth = self._rows(stack, part)
            return self._of_rows(kind, array, depth)
        columns = self._columns(stack, part)
        if columns is None or kind == "inputs":
            return array
        share, parts = columns
        width = array.shape[0] // parts if array.ndim == 1 else array.shape[0] * LANES // parts
        places = [
            Portion(one * width + share.first, one * width + share.last) for one in range(parts)
        ]
        return _columns_of(array, places)

    def _share(self, size: int) -> Portion:
        return Portion.of(size, self._rank, self._ranks)

    def _rows(self, stack: str, part: str) -> Portion:
        model = self._model
        if part == "down":
            return self._share(model[f"{stack}_hidden"])
        return self._heads(stack)

    def _heads(self, stack: str) -> Portion:
        """The columns of this part's heads, among those of all."""
        heads, head = self._share(self._model[f"{stack}_heads"]), self._model[f"{stack}_head"]
        return Portion(heads.first * head, heads.last * head)

    def _columns(self, stack: str, part: str) -> tuple[Portion, int] | None:
        """Those of each of so many equal parts; None where a product is whole on each rank."""
        if part == "head":
            return self._share(self._model["vocabulary"]), 1
        if part == "cross_projections":
            return self._heads("decoder"), 2 * int(self._model["decoder_layers"])
        if part in ("qkv", "query"):
            return self._heads(stack), 3 if part == "qkv" else 1
        if part in ("up", "gate_up"):
            return self._share(self._model[f"{stack}_hidden"]), 2 if part == "gate_up" else 1
        return None

    def _of_rows(self, kind: str, array: Stored, rows: Portion) -> Stored:
        if kind == "scales":
            return array
        if kind == "bias":
            return array if self._rank == 0 else np.zeros_like(array)
        if kind == "inputs":
            size = padded(rows.size, _QUARTERS)
            return pad(array[rows.first : rows.last], 0, size)
        if kind != "int8":
            return array[:, rows.first : rows.last]
        if rows.first % _QUARTERS == 0 and rows.last % _QUARTERS == 0:
            return array[:, rows.first // _QUARTERS : rows.last // _QUARTERS]
        groups = array.shape[0]
        flat = array.transpose(0, 2, 1, 3).reshape(groups, LANES, -1)[..., rows.first : rows.last]
        deep = pad(flat, 2, padded(rows.size, _QUARTERS))
        return deep.reshape(groups, LANES, -1, _QUARTERS).transpose(0, 2, 1, 3)


def _columns_of(array: Stored, places: list[Portion]) -> Stored:
    """Columns of a packed matrix `[out/16,depth,16,...]` or of a vector `[out]`.

    Each of the `places` begins at a multiple of 16 in what is returned.
    """
    if array.ndim == 1:
        cut = [pad(array[one.first : one.last], 0, padded(one.size)) for one in places]
    else:
        cut = [_columns_at(array, one) for one in places]
    return cut[0] if len(cut) == 1 else np.concatenate(cut)


def _columns_at(array: Stored, place: Portion) -> Stored:
    first = place.first // LANES
    groups = array[first : -(-place.last // LANES)]
    if place.first % LANES == 0 and place.last % LANES == 0:
        return groups
    lanes = np.moveaxis(groups, 2, 1)
    begin = place.first - first * LANES
    columns = lanes.reshape(-1, *lanes.shape[2:])[begin : begin + place.size]
    wide = pad(columns, 0, padded(place.size))
    return np.moveaxis(wide.reshape(-1, LANES, *wide.shape[1:]), 1, 2)
