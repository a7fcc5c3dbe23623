"""Runs an encoder variant with PyTorch.

Whole windows are no work for CUDA graphs: a batch's products take longer than their launches, and a
graph would be needed for each number of rows and width.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.contract.manifest import Manifest
from engine.runtime.encoders.session import BATCH_TOKENS, Floats
from engine.runtime.encoders.windows import TokenWindow
from engine.runtime.sessions.caches import LENGTH_STEP, padded
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.errors import TorchInputError
from engine.runtime.sessions.torch.reader import reading_bytes
from engine.runtime.sessions.torch.weights import computing_type, load_reader, weight_bytes

Longs = NDArray[np.int64]

GPU_TOKENS = 16_384
"""Tokens that a GPU computes at once: with fewer, launches take longer than their products."""

_PADDED = 2
"""How often as many are computed with padding, at most."""


class TorchEncoderSession:
    """See `EncoderRunner`: the variant in `folder`, on GPU `device`, or None for the processor.

    Several threads may call `run`, and take turns.  On a GPU every width has run before this
    returns.

    Raises:
        TorchMissingError: PyTorch can't use that GPU.
        TorchMemoryError: it has not enough memory.
        WeightsError: the variant's files are missing or damaged.

    """

    pads = True

    def __init__(self, folder: Path, manifest: Manifest, device: int | None) -> None:
        self.manifest = manifest
        self._turn = threading.Lock()
        self._device = place = TorchDevice(device)
        dtype = computing_type(manifest.precision, place.device)
        place.require(weight_bytes(folder, dtype), f"{manifest.name}'s weights")
        with place.use():
            self._reader = load_reader(folder, place.device, dtype)
        self._longest = min(self._reader.max_positions, manifest.max_source_tokens)
        self.batch_tokens = GPU_TOKENS if place.is_cuda else BATCH_TOKENS
        if place.is_cuda:
            tokens = _PADDED * max(GPU_TOKENS, padded(self._longest))
            place.require(reading_bytes(self._reader, tokens), f"a batch of {manifest.name}")
            self._warm_up()

    def run(self, windows: Sequence[TokenWindow]) -> list[Floats]:
        """Of each window the logits: `[labels]`, or `[len(ids),2]` of a span head.

        Raises:
            TorchInputError: the model does not take a window.

        """
        self._check(windows)
        lengths = [len(window.ids) for window in windows]
        rows, width = row_size(len(windows)), width_size(max(lengths), self._reader.max_positions)
        tokens = np.zeros((2, rows, width), np.int64)
        for row, window in enumerate(windows):
            tokens[0, row, : lengths[row]] = window.ids
            if self._reader.types is not None:
                tokens[1, row, : lengths[row]] = window.token_types
        # A row with nothing to read would attend to nothing, which is no number.
        sizes = np.ones(rows, np.int64)
        sizes[: len(windows)] = lengths
        logits = self._read(tokens, sizes)[: len(windows)]
        if self.manifest.head == "spans":
            return [row[:length] for row, length in zip(logits, lengths, strict=True)]
        return list(logits)

    def _read(self, tokens: Longs, lengths: Longs) -> Floats:
        """All logits of ids and types `[2,B,S]`, as `TorchReader` gives them."""
        with self._turn, self._device.use():
            place = self._reader.device
            ids, types = torch.from_numpy(tokens).to(place)
            made = self._reader(ids, types, torch.from_numpy(lengths).to(place))
            logits: Floats = made.cpu().numpy()
            return logits

    def _warm_up(self) -> None:
        """Has each width run, in the largest batch and alone: the first of a shape takes longer."""
        longest = self._reader.max_positions
        widths = sorted({width_size(length, longest) for length in range(1, self._longest + 1)})
        for width in reversed(widths):  # what the largest needs serves the others
            for rows in (max(1, GPU_TOKENS // width), 1):
                shape = row_size(rows), width
                self._read(np.zeros((2, *shape), np.int64), np.full(shape[0], width, np.int64))

    def _check(self, windows: Sequence[TokenWindow]) -> None:
        """What reads beyond a table ends the process on a GPU, so it is found here."""
        reader = self._reader
        kinds = 0 if reader.types is None else reader.types.shape[0]
        for window in windows:
            if not window.ids:
                raise TorchInputError("a window has no tokens")
            if len(window.ids) > self._longest:
                raise TorchInputError("a window is longer than the model's positions")
            if not 0 <= min(window.ids) <= max(window.ids) < reader.vocabulary:
                raise TorchInputError("a window holds a token that does not exist")
            types = window.token_types
            if kinds and not 0 <= min(types) <= max(types) < kinds:
                raise TorchInputError("a token is of a type that does not exist")


def row_size(rows: int) -> int:
    """The least of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... that is `rows` at least: few shapes occur."""
    power = 1 << (rows - 1).bit_length()
    return power * 3 // 4 if power > 2 and rows <= power * 3 // 4 else power


def width_size(length: int, longest: int) -> int:
    """Likewise the width for windows of `length` tokens; no position is beyond `longest`."""
    return min(LENGTH_STEP * row_size(-(-length // LENGTH_STEP)), longest)
