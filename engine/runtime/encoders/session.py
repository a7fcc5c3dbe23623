"""Runs the graph of an encoder variant with ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.contract.manifest import Manifest
from engine.runtime.encoders.windows import TokenWindow
from engine.runtime.sessions.onnx_graphs import open_graph

GRAPH_FILE = "model.onnx"

BATCH_TOKENS = 2048
"""Tokens computed at once: enough for a matrix product to be at its best, small in memory."""

Floats = NDArray[np.float32]


class EncoderRunner(Protocol):
    """An encoder variant on some hardware, for any thread."""

    pads: bool
    """Whether windows that run together are padded to the length of the longest."""

    batch_tokens: int
    """How many tokens of windows are best computed at once."""

    def run(self, windows: Sequence[TokenWindow]) -> list[Floats]:
        """Of each window the logits: `[labels]`, or `[len(ids),2]` of a span head."""
        ...


class EncoderSession:
    """The encoder of the variant in `folder`; `run` may be called from several threads at once."""

    pads = True
    batch_tokens = BATCH_TOKENS

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        self.manifest = manifest
        self._session = open_graph(
            folder / GRAPH_FILE,
            threads,
            quantized=manifest.precision == "int8",
            fixed_shapes=False,
        )

    def run(self, windows: Sequence[TokenWindow]) -> list[Floats]:
        """Of each window the logits: `[labels]`, or `[len(ids),2]` of a span head."""
        lengths = [len(window.ids) for window in windows]
        shape = (len(windows), max(lengths))
        inputs = {"input_ids": np.full(shape, self.manifest.pad_id, np.int64)}
        inputs["mask"] = np.zeros(shape, np.int64)
        if self.manifest.token_type_ids:
            inputs["token_types"] = np.zeros(shape, np.int64)
        for row, (window, length) in enumerate(zip(windows, lengths, strict=True)):
            inputs["input_ids"][row, :length] = window.ids
            inputs["mask"][row, :length] = 1
            if self.manifest.token_type_ids:
                inputs["token_types"][row, :length] = window.token_types
        (logits,) = self._session.run(["logits"], inputs)
        if self.manifest.head == "spans":
            return [row[:length] for row, length in zip(logits, lengths, strict=True)]
        return list(logits)
