"""What the float graphs' matrix products see on real text: the ranges for static quantization.

The decoder is observed over whole greedy decodings, so that every position is represented.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from engine.export.graph import Array, save_model, without_constants
from engine.runtime.manifest import Manifest
from engine.runtime.slots import MASKED, padded

SAMPLES = 200_000
"""Values kept of each tensor."""


def quantizable(model: onnx.ModelProto) -> dict[str, str]:
    """The products with a constant matrix: node name -> name of the tensor that is multiplied."""
    constants = {constant.name for constant in model.graph.initializer}
    return {
        node.name: node.input[0]
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    }


class Observer:
    """Runs a float graph and keeps a sample of each tensor that a constant matrix multiplies."""

    def __init__(self, model: onnx.ModelProto, seed: int = 0) -> None:
        self.tensors = sorted(set(quantizable(model).values()))
        self.outputs = [output.name for output in model.graph.output]
        self.session = _open(_watched(model, self.tensors))
        self._samples: dict[str, list[Array]] = {name: [] for name in self.tensors}
        self._maxima = dict.fromkeys(self.tensors, 0.0)
        self._random = np.random.default_rng(seed)

    def run(self, inputs: dict[str, Array], rows: Array | None = None) -> dict[str, Array]:
        """Runs the graph; of the watched tensors only `rows` (a mask of the leading axes) count."""
        values = self.session.run([*self.outputs, *self.tensors], inputs)
        for name, value in zip(self.tensors, values[len(self.outputs) :], strict=True):
            seen = np.abs(value if rows is None else value[rows]).ravel()
            self._maxima[name] = max(self._maxima[name], float(seen.max(initial=0.0)))
            self._samples[name].append(self._random.choice(seen, min(seen.size, 4096)))
        return dict(zip(self.outputs, values, strict=False))

    def magnitudes(self) -> dict[str, Array]:
        """Of each tensor, absolute values seen: a sample, and the largest of all."""
        return {
            name: np.append(np.concatenate(samples)[-SAMPLES:], np.float32(self._maxima[name]))
            for name, samples in self._samples.items()
        }


def _watched(model: onnx.ModelProto, tensors: list[str]) -> onnx.ModelProto:
    """A copy of `model` of which `tensors` are outputs, too."""
    watched = without_constants(model)
    watched.graph.initializer.extend(model.graph.initializer)
    watched.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in tensors)
    return watched


def _open(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3  # it would warn at each step that the cache is copied
    with tempfile.TemporaryDirectory() as folder:  # from a file: a model may be over 2 GiB
        path = Path(folder, "model.onnx")
        save_model(model, path)
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def observe(
    encoder: onnx.ModelProto,
    step: onnx.ModelProto,
    manifest: Manifest,
    sources: Iterable[list[list[int]]],
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Decodes batches of ids greedily; returns the magnitudes in the encoder and in the step."""
    watchers = Observer(encoder), Observer(step)
    for batch in sources:
        _decode(*watchers, manifest, batch)
    return watchers[0].magnitudes(), watchers[1].magnitudes()


def start_id(manifest: Manifest) -> int:
    """The token that calibration and gates start the decoder with."""
    _, target = manifest.example_languages
    return manifest.decoder_start_ids.get(target, manifest.decoder_start_id)


def _decode(encoder: Observer, step: Observer, manifest: Manifest, batch: list[list[int]]) -> None:
    rows, width = len(batch), padded(max(map(len, batch)))
    ids = np.full((rows, width), manifest.pad_id, np.int64)
    for row, source in enumerate(batch):
        ids[row, : len(source)] = source
    real = np.arange(width)[None] < np.array([[len(source)] for source in batch])
    mask = np.where(real, np.float32(0), MASKED)[:, None, None]
    state: dict[str, Array] = encoder.run({"input_ids": ids, "mask": mask}, real)
    steps = min(2 * width + 16, manifest.max_target_tokens)
    shape = (rows, manifest.decoder_heads, padded(steps), manifest.head_width)
    for layer in range(manifest.decoder_layers):
        state |= {f"past_{part}_{layer}": np.zeros(shape, np.float32) for part in ("key", "value")}
    tokens = np.full(rows, start_id(manifest), np.int64)
    alive = np.ones(rows, bool)
    for position in range(steps):
        visible = np.arange(shape[2]) <= position
        state["self_mask"] = np.broadcast_to(
            np.where(visible, np.float32(0), MASKED), (rows, 1, 1, shape[2])
        )
        state |= {"ids": tokens, "positions": np.full(rows, position), "cross_mask": mask}
        done = step.run({name: np.ascontiguousarray(value) for name, value in state.items()}, alive)
        tokens = done["next_ids"]
        alive = alive & (tokens != manifest.eos_id)
        if not alive.any():
            return
        for name, value in done.items():
            if name.startswith("present_"):
                state[name.replace("present_", "past_")] = value
