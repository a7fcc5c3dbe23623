"""The files that the native code reads: `model.json` and `weights.safetensors`.

The second is in the format of huggingface.co/docs/safetensors.  Its data begin at a multiple of 64,
and each tensor at a multiple of its vectors' bytes: the file is mapped, not read, so lanes and
processes share its memory.
"""

import json
import math
import mmap
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model.config import ModelConfig

MODEL_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
NATIVE_FILES = (MODEL_FILE, WEIGHTS_FILE)
FORMAT = 3
_ONE_VOCABULARY = 2
"""The format before, in which sources have the tokens of answers."""
_NOT_BEFORE: tuple[dict[str, Any], ...] = (
    {"shortlist": 0, "screen": 0, "screen_error": 0.0, "screen_norm": 0.0},
    {"encoder_attention": "full", "local_radius": 0, "global_block": 0, "max_target_positions": 0},
)
"""What models do not have that earlier versions wrote; what came together is there together."""

TYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # NumPy has no bfloat16: its bits
    "I8": np.dtype("i1"),
    "I32": np.dtype("<i4"),
}
_ALIGNMENT = 64

Array = NDArray[Any]


class WeightsError(RuntimeError):
    """The files of a variant are missing, damaged or of another version; the message says which."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor to be written; `parts` makes its values, one behind the other, when it is its turn.

    `kind` is one of `TYPES`.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parts: Callable[[], Iterable[Array]]

    @property
    def size(self) -> int:
        """Its bytes."""
        return int(np.prod(self.shape)) * TYPES[self.kind].itemsize

    def content(self) -> Iterator[bytes]:
        """Its bytes, a part at a time."""
        for part in self.parts():
            yield np.ascontiguousarray(part, TYPES[self.kind]).tobytes()


def write_weights(folder: Path, model: dict[str, Any], tensors: list[StoredTensor]) -> None:
    """Writes both files; a tensor is in memory one part at a time."""
    # The format has no gaps: whose size keeps what follows aligned comes first.
    tensors = sorted(tensors, key=lambda tensor: -math.gcd(tensor.size, _ALIGNMENT))
    content = json.dumps({"format": FORMAT, **model}, indent=1)
    (folder / MODEL_FILE).write_text(content + "\n", encoding="utf-8")
    header, end = {}, 0
    for tensor in tensors:
        place = [end, end + tensor.size]
        header[tensor.name] = {
            "dtype": tensor.kind,
            "shape": list(tensor.shape),
            "data_offsets": place,
        }
        end = place[1]
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    with (folder / WEIGHTS_FILE).open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            written = sum(file.write(part) for part in tensor.content())
            assert written == tensor.size, tensor.name


def described_attention(config: ModelConfig) -> dict[str, Any]:
    """What `model.json` says of the encoder's attention; sizes that it does not have are 0."""
    kind = config.encoder_attention
    return {
        "encoder_attention": kind,
        "local_radius": 0 if kind == "full" else config.local_radius,
        "global_block": config.global_block if config.has_globals else 0,
    }


def have_weights(folder: Path) -> bool:
    """Whether a variant has what the native code reads."""
    return all((folder / name).exists() for name in NATIVE_FILES)


def read_model(folder: Path) -> dict[str, Any]:
    """What `model.json` says, and what models are that were written before it said so.

    Raises:
        WeightsError: it is missing or damaged, or of another version.

    """
    try:
        model = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _no_whole_model(folder, error) from error
    if isinstance(model, dict) and model.get("format") == _ONE_VOCABULARY:
        model |= {"format": FORMAT, "source_vocabulary": 0}
    for added in _NOT_BEFORE:
        if isinstance(model, dict) and not model.keys() & added.keys():
            model |= added
    if not isinstance(model, dict) or model.get("format") != FORMAT or not _is_whole(model):
        raise WeightsError(
            f"{folder / MODEL_FILE} is of another version: export the variant again."
        )
    return model


def read_weights(folder: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """What `model.json` says, and the tensors, mapped.

    Raises:
        WeightsError: a file is missing or damaged, or of another version.

    """
    model = read_model(folder)
    try:
        return model, dict(_tensors(folder / WEIGHTS_FILE))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, struct.error) as error:
        raise _no_whole_model(folder, error) from error


def _no_whole_model(folder: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{folder} holds no whole model ({error}): export the variant again.")


def _is_whole(model: dict[str, Any]) -> bool:
    """Whether it has all of what versions added to it."""
    return all(added.keys() <= model.keys() for added in _NOT_BEFORE)


def _tensors(path: Path) -> Iterator[tuple[str, Array]]:
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (length,) = struct.unpack_from("<Q", mapped)
    header = json.loads(mapped[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        dtype = TYPES[entry["dtype"]]
        count = int(np.prod(entry["shape"]))
        if count * dtype.itemsize != end - begin:
            raise ValueError(f"{name} has another size than its shape says")
        # It raises ValueError where the file is cut.
        flat = np.frombuffer(mapped, dtype, count, 8 + length + begin)
        yield name, flat.reshape(entry["shape"])
