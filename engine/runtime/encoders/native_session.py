"""Runs an encoder variant with the native code, on the processor."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.contract.manifest import Manifest
from engine.native import library as native
from engine.native.model import NativeEncoder, NativeLane
from engine.runtime.encoders.session import BATCH_TOKENS, Floats
from engine.runtime.encoders.windows import TokenWindow


class NativeEncoderSession:
    """The encoder of the variant in `folder`; `run` may be called from several threads at once."""

    pads = False
    batch_tokens = BATCH_TOKENS

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._model = NativeEncoder(folder)
        self._free: list[NativeLane] = []
        """Lanes that no call uses: there are as many in all as there were calls at once."""

    def run(self, windows: Sequence[TokenWindow]) -> list[Floats]:
        """Of each window the logits: `[labels]`, or `[len(ids),2]` of a span head."""
        ids = np.concatenate([np.array(window.ids, np.int32) for window in windows])
        types = np.concatenate([np.array(window.token_types, np.int32) for window in windows])
        lengths = np.array([len(window.ids) for window in windows], np.int32)
        spans = self._model.spans
        logits = np.empty((ids.size if spans else len(windows), self._model.labels), np.float32)
        inputs = [native.address(array) for array in (ids, types, lengths)]
        lane = self._lane()
        try:
            read, place = native.library().seqway_read, native.address(logits)
            native.check(read(lane.pointer, *inputs, len(windows), place))
        finally:
            self._free.append(lane)
        return np.split(logits, np.cumsum(lengths)[:-1]) if spans else list(logits)

    def _lane(self) -> NativeLane:
        try:
            return self._free.pop()
        except IndexError:
            return NativeLane(self._model, 0)
