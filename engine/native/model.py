"""Models and lanes of the native library, which are freed with the objects that hold them."""

import ctypes
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from engine.native import library as native
from engine.native.weights import MODEL_FILE, WeightsError, have_weights, read_weights

ISA_VARIABLE = "SEQWAY_NATIVE_ISA"
"""The environment variable that names the instruction set to use, for comparisons."""


def is_served(folder: Path) -> bool:
    """Whether native code runs a variant here: it was built, and there is what it reads."""
    return have_weights(folder) and native.is_there()


class NativeModel:
    """An encoder-decoder's weights, shared by the sessions that use it."""

    def __init__(self, folder: Path) -> None:
        described, self.tensors = read_weights(folder)
        with _described(folder):
            self.vocabulary = int(described["vocabulary"])
            self.suppressed = np.array(described["suppressed_ids"], np.int32)
            config = native.NativeConfig(
                **_sizes(described, native.NativeConfig.SIZES),
                activation=_activation(described["activation"]),
                **{name: float(described[name]) for name in native.NativeConfig.FLOATS},
            )
        library = native.library()
        self.pointer = native.made(
            library.seqway_model_new(
                ctypes.byref(config),
                native.table_of(self.tensors),
                len(self.tensors),
                self.suppressed.ctypes.data,
                self.suppressed.size,
            )
        )
        when_dropped(self, library.seqway_model_free, self.pointer)


class NativeEncoder:
    """Likewise of an encoder with a head: `labels` logits of a text, or with `spans` of a token."""

    def __init__(self, folder: Path) -> None:
        described, self.tensors = read_weights(folder)
        with _described(folder):
            for name, twin in dict(described["twins"]).items():
                self.tensors[name] = self.tensors[twin]
            config = native.NativeEncoderConfig(
                **_sizes(described, native.NativeEncoderConfig.SIZES),
                activation=_activation(described["activation"]),
                head_activation=_activation(described["head_activation"]),
                epsilon=described["epsilon"],
            )
        self.labels, self.spans = int(config.labels), bool(config.spans)
        library, tensors = native.library(), native.table_of(self.tensors)
        model = library.seqway_encoder_new(ctypes.byref(config), tensors, len(self.tensors))
        self.pointer = native.made(model)
        when_dropped(self, library.seqway_model_free, self.pointer)


@contextmanager
def _described(folder: Path) -> Iterator[None]:
    """Has what `model.json` lacks, or has and should not, be told as `WeightsError`."""
    try:
        yield
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise WeightsError(
            f"{folder / MODEL_FILE} describes no model ({error!r}): export the variant again."
        ) from error


def _sizes(described: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, int]:
    return {name: int(described[name]) for name in names}


def _activation(name: Any) -> int:
    return native.ACTIVATIONS.index(name)


class NativeLane:
    """A lane of the library, which needs its model as long as it lives."""

    def __init__(self, model: NativeModel | NativeEncoder, capacity: int) -> None:
        self._model = model
        library, isa = native.library(), os.environ.get(ISA_VARIABLE, "")
        lane = library.seqway_lane_new(model.pointer, capacity, isa.encode())
        self.pointer = native.made(lane)
        when_dropped(self, _close, library, self.pointer, model)


def when_dropped(owner: object, free: Callable[..., None], *arguments: object) -> None:
    """Frees what `owner` holds with it; not at exit, when threads may still compute with it."""
    weakref.finalize(owner, free, *arguments).atexit = False


def _close(library: ctypes.CDLL, lane: int, _model: NativeModel | NativeEncoder) -> None:
    library.seqway_lane_free(lane)
