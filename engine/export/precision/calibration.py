"""What the float graphs' values are on real text: samples for INT8's ranges, maxima for 16 bits.

The decoder is observed over whole greedy decodings, so that every position is represented. They are
those of served requests: with the languages' codes, forced tokens, and what tokens may follow.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from engine.contract.manifest import Manifest
from engine.export.graphs.builder import Array, save_model, without_constants
from engine.export.graphs.constants import temporary_folder
from engine.export.precision.half_arithmetic import value_types
from engine.runtime.decoding.greedy import TokenSelection
from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.settings import greedy_decoding
from engine.runtime.sessions.caches import key_value_names, padded, state_names
from engine.runtime.sessions.masks import MASKED
from engine.runtime.sessions.onnx_graphs import open_graph

SAMPLED_VALUES = 200_000
"""Values kept of each tensor that a constant matrix multiplies, in whole rows..."""

LEAST_ROWS = 256
"""...but at least so many rows."""

ROWS_A_RUN = 64


def quantizable(model: onnx.ModelProto) -> dict[str, str]:
    """The products with a constant matrix: node name -> name of the tensor that is multiplied."""
    constants = {constant.name for constant in model.graph.initializer}
    return {
        node.name: node.input[0]
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    }


@dataclass(frozen=True)
class Seen:
    """What was observed of one tensor `[...,K]`: sampled `rows [n,K]`, and each channel's maximum.

    `maxima [K]` are the largest absolute values of all rows, not of the sample alone.
    """

    rows: Array
    maxima: Array

    @property
    def magnitudes(self) -> Array:
        """Absolute values: those of the sample, and the largest of all."""
        return np.append(np.abs(self.rows).ravel(), self.maxima.max())


@dataclass(frozen=True)
class Observation:
    """What was observed in one graph.

    `inputs` are the tensors that constant matrices multiply. `largest` has, of every float value
    that a node makes, the largest absolute one, in the order of the graph; infinite where one was
    not finite. Masked scores and tokens that are never made do not count.
    """

    inputs: dict[str, Seen]
    largest: dict[str, float]

    def first_not_finite(self) -> str:
        """The first value of the graph that was not finite, "" if all were."""
        return next((name for name, value in self.largest.items() if not np.isfinite(value)), "")


class Runner(Protocol):
    """What a decoding drives: the graph's outputs by name, for inputs by name."""

    def run(self, inputs: dict[str, Array], rows: Array | None = None) -> dict[str, Array]:
        """Runs the graph; `rows` is a mask of the leading axes that says which are meant."""
        ...


class _Rows:
    """A uniform sample of rows: each draws a number, and the smallest stay."""

    def __init__(self) -> None:
        self._keys: Array = np.zeros(0)
        self._rows: Array | None = None
        self._maxima: Array | None = None

    def add(self, rows: Array, random: np.random.Generator) -> None:
        maxima = np.abs(rows).max(axis=0)
        self._maxima = maxima if self._maxima is None else np.maximum(self._maxima, maxima)
        if len(rows) > ROWS_A_RUN:
            rows = rows[random.choice(len(rows), ROWS_A_RUN, replace=False)]
        self._rows = rows if self._rows is None else np.concatenate([self._rows, rows])
        self._keys = np.concatenate([self._keys, random.random(len(rows))])
        most = max(LEAST_ROWS, SAMPLED_VALUES // rows.shape[1])
        if len(self._keys) > most:
            kept = np.argpartition(self._keys, most)[:most]
            self._keys, self._rows = self._keys[kept], self._rows[kept]

    @property
    def seen(self) -> Seen:
        assert self._rows is not None and self._maxima is not None
        return Seen(self._rows, self._maxima)


class ValueObserver:
    """Runs a float graph and looks at its values."""

    def __init__(self, model: onnx.ModelProto, seed: int = 0) -> None:
        self.outputs = [output.name for output in model.graph.output]
        self._inputs = sorted(set(quantizable(model).values()))
        self._floats = _float_values(model)
        self._session = open_model(_watched(model, self._inputs, self._floats))
        self._rows = {name: _Rows() for name in self._inputs}
        self._largest: Array = np.zeros(len(self._floats))
        self._random = np.random.default_rng(seed)

    def run(self, inputs: dict[str, Array], rows: Array | None = None) -> dict[str, Array]:
        """See `Runner`; of what is sampled only `rows` count, of maxima all."""
        watched = [*self._inputs, _LARGEST]
        values = self._session.run([*self.outputs, *watched], inputs)
        made, seen = values[: len(self.outputs)], values[len(self.outputs) :]
        np.maximum(self._largest, seen.pop(), out=self._largest)
        for name, value in zip(self._inputs, seen, strict=True):
            chosen = _meant(value, rows)
            if len(chosen):
                self._rows[name].add(chosen, self._random)
        return dict(zip(self.outputs, made, strict=True))

    def observation(self) -> Observation:
        """What was seen so far."""
        largest = zip(self._floats, self._largest.tolist(), strict=True)
        return Observation({name: rows.seen for name, rows in self._rows.items()}, dict(largest))


def _meant(value: Array, rows: Array | None) -> Array:
    """The rows `[n,K]` of a tensor `[...,K]` that count.

    Behind the tokens of long attention stand sums, and zeros where a source has none.
    """
    if rows is not None and value.shape[: rows.ndim] == rows.shape:
        return value[rows]
    if rows is not None and _has_sums(value, rows):
        length = rows.shape[1]
        sums = value[:, length:]
        return np.concatenate([value[:, :length][rows], sums[sums.any(axis=-1)]])
    return value.reshape(-1, value.shape[-1])


def _has_sums(value: Array, rows: Array) -> bool:
    is_alike = value.ndim == 3 and rows.ndim == 2 and len(value) == len(rows)
    return is_alike and value.shape[1] > rows.shape[1]


_LARGEST = "observed_largest"


def _float_values(model: onnx.ModelProto) -> list[str]:
    """The float values that nodes make, in the order of the graph."""
    types = value_types(model)
    made = [name for node in model.graph.node for name in node.output]
    return [name for name in made if types.get(name) == TensorProto.FLOAT]


def _watched(model: onnx.ModelProto, tensors: list[str], floats: list[str]) -> onnx.ModelProto:
    """A copy of `model` with outputs more: `tensors`, and the maxima of `floats` in one vector."""
    watched = without_constants(model)
    graph = watched.graph
    graph.initializer.extend(model.graph.initializer)
    constants: dict[str, Array] = {
        "observed_masked": np.array(MASKED / 2, np.float32),
        "observed_zero": np.array(0, np.float32),
        "observed_infinity": np.array(np.inf, np.float32),
        "observed_shape": np.array([1], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants.items())

    def call(op: str, inputs: list[str], to: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(op, inputs, [to], name=to, **attributes))
        return to

    parts = []

    def watch(index: int, name: str) -> None:
        own = f"observed_{index}"
        masked = call("Less", [name, "observed_masked"], f"{own}.masked")
        clean = call("Where", [masked, "observed_zero", name], f"{own}.clean")
        size = call("ReduceMax", [call("Abs", [clean], f"{own}.abs")], f"{own}.max", keepdims=0)
        # Zero times what is not finite is NaN; a maximum may pass over NaN.
        zeros = call("Mul", [clean, "observed_zero"], f"{own}.zeros")
        bad = call("IsNaN", [call("ReduceSum", [zeros], f"{own}.sum", keepdims=0)], f"{own}.bad")
        found = call("Where", [bad, "observed_infinity", size], f"{own}.found")
        parts.append(call("Reshape", [found, "observed_shape"], f"{own}.part"))

    nodes, places = list(graph.node), {name: index for index, name in enumerate(floats)}
    del graph.node[:]
    for node in nodes:
        # Each value is looked at when it is made, and not kept until the end: see `open_model`.
        graph.node.append(node)
        for name in node.output:
            if name in places:
                watch(places[name], name)
    call("Concat", parts, _LARGEST, axis=0)
    graph.output.extend(helper.make_empty_tensor_value_info(n) for n in (*tensors, _LARGEST))
    return watched


def open_model(model: onnx.ModelProto) -> ort.InferenceSession:
    """A session on the processor for a graph that is in memory, run in the order of its nodes."""
    with temporary_folder() as folder:  # from a file: a model may be over 2 GiB
        path = folder / "model.onnx"
        save_model(model, path)
        return open_graph(path, threads=0, frugal=True)


def observe(
    encoder: onnx.ModelProto,
    step: onnx.ModelProto,
    manifest: Manifest,
    sources: Iterable[list[list[int]]],
) -> tuple[Observation, Observation]:
    """Decodes batches of ids greedily; returns what was seen in the encoder and in the step."""
    watchers = ValueObserver(encoder), ValueObserver(step)
    for batch in sources:
        decode_greedily(*watchers, manifest, batch)
    return watchers[0].observation(), watchers[1].observation()


def decoded(width: int) -> int:
    """How many tokens of an answer to a source of `width` are looked at."""
    return 2 * width + 16


def decode_greedily(
    encoder: Runner, step: Runner, manifest: Manifest, batch: list[list[int]]
) -> None:
    """Runs both graphs over a batch of sources until every row has ended."""
    rows, width = len(batch), padded(max(map(len, batch)))
    ids = np.full((rows, width), manifest.pad_id, np.int64)
    for row, source in enumerate(batch):
        ids[row, : len(source)] = source
    real = np.arange(width)[None] < np.array([[len(source)] for source in batch])
    mask = np.where(real, np.float32(0), MASKED)[:, None, None]
    state: dict[str, Array] = encoder.run({"input_ids": ids, "mask": mask}, real)
    steps = min(decoded(width), manifest.max_target_tokens)
    recurrent = manifest.is_recurrent
    shape = (rows, manifest.decoder_heads, padded(steps), manifest.head_width)
    names = (state_names if recurrent else key_value_names)("past_", manifest.decoder_layers)
    zeros = (rows, manifest.decoder_heads * manifest.head_width) if recurrent else shape
    state |= {name: np.zeros(zeros, np.float32) for name in names}
    decoding, eos = greedy_decoding(manifest), manifest.eos_id
    selection = TokenSelection(eos, Processors(decoding, eos, 1)) if decoding.constrained else None
    steps = min(steps, decoding.max_new_tokens)
    forced = decoding.forced((), steps)
    tokens = np.full(rows, decoding.start_id, np.int64)
    history = tokens[:, None]
    alive = np.ones(rows, bool)
    for position in range(steps):
        if not recurrent:
            visible = np.arange(shape[2]) <= position
            state["self_mask"] = np.broadcast_to(
                np.where(visible, np.float32(0), MASKED), (rows, 1, 1, shape[2])
            )
        state |= {"ids": tokens, "positions": np.full(rows, position), "cross_mask": mask}
        done = step.run({name: np.ascontiguousarray(value) for name, value in state.items()}, alive)
        tokens = _next_tokens(done, selection, history, forced.get(position))
        history = np.concatenate([history, tokens[:, None]], axis=1)
        alive = alive & (tokens != eos)
        if not alive.any():
            return
        for name, value in done.items():
            if name.startswith("present_"):
                state[name.replace("present_", "past_")] = value


def _next_tokens(
    done: dict[str, Array], selection: TokenSelection | None, history: Array, forced: int | None
) -> Array:
    """What a served request would go on with after a step."""
    if forced is not None:
        return np.full_like(done["next_ids"], forced)
    if selection is None:
        return done["next_ids"]
    rows = zip(done["logits"], history, strict=True)
    return np.array([selection.select(logits, past) for logits, past in rows], np.int64)
