"""The files that Marian keeps a model in: `.bin`, with INT8 matrices or without, and `.npz`.

A `.bin` file is little-endian: the version 1 and the number of tensors (u64 each); for each tensor
the length of its name, its type, dimensions and bytes (u64 each); the names, which end with a zero;
the shapes (i32); a number of bytes (u64) and as many of padding; the data. The source is
`src/common/binary.cpp` of github.com/browsermt/marian-dev.
"""

import io
import math
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from engine.model.errors import in_one_line, library_errors
from engine.model.marian.packed import read_bytes

Array = NDArray[np.float32]

_CONFIG = "special:model.yml"
_INPUT = "_QuantMultA"
_TABLE = "Wemb"

_FLOAT32, _INT8, _INTGEMM8 = 0x404, 0x101, 0x4101
_KINDS = {_FLOAT32: "<f4", _INT8: "i1", _INTGEMM8: "i1"}
_MOST_TENSORS, _LONGEST_NAME, _MOST_DIMENSIONS = 1 << 16, 1 << 12, 8
_LARGEST = 8 << 30
"""Bytes of a model, unpacked."""


@dataclass(frozen=True)
class MarianModel:
    """What a file holds: `tensors` by Marian's names, and `config`, what it was trained as.

    Matrices are `[in,out]`. Those that the file has in INT8 are its integers divided by the number
    in `weight_multipliers`; what each is multiplied with is to be multiplied with the number in
    `input_multipliers` before it is rounded, where the file says so.
    """

    tensors: dict[str, Array]
    config: dict[str, Any]
    weight_multipliers: dict[str, float] = field(default_factory=dict)
    input_multipliers: dict[str, float] = field(default_factory=dict)


def read_model(path: Path) -> MarianModel:
    """Reads a `.bin` or `.npz` file, which may be packed.

    Raises:
        CheckpointError: it can't be read, is damaged, or is none.

    """
    content = read_bytes(path, _LARGEST)
    with library_errors(f"{path} is no model of Marian's"):
        return _of_npz(content) if content.startswith(b"PK") else _of_bin(content)


def _of_npz(content: bytes) -> MarianModel:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(one.file_size for one in archive.infolist()) > _LARGEST:
            raise ValueError(f"it unpacks to more than {_LARGEST >> 30} GiB.")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    text = arrays.pop(_CONFIG, np.zeros(0, np.int8))
    config = _configuration(np.asarray(text).tobytes())
    tensors = {}
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise ValueError(f"{name} holds {array.dtype}, and only real numbers are supported.")
        tensors[name] = np.atleast_2d(array).astype(np.float32)
    return MarianModel(tensors, config)


@dataclass(frozen=True)
class _TensorHeader:
    name: str
    kind: int
    shape: tuple[int, ...]
    size: int


def _of_bin(content: bytes) -> MarianModel:
    reader = _Bytes(content)
    headers = list(_headers(reader))
    reader.take(reader.numbers("Q", 1)[0])
    tensors: dict[str, Array] = {}
    weights: dict[str, float] = {}
    inputs: dict[str, float] = {}
    config: dict[str, Any] = {}
    for header in headers:
        data = reader.take(header.size)
        if header.name == _CONFIG:
            config = _configuration(data)
            continue
        if header.kind not in _KINDS:
            raise ValueError(f"{header.name} is of the type {header.kind:#x}, which is not known.")
        values, multiplier = _values(header, data)
        if multiplier:
            values = values / np.float32(multiplier)
        if header.name.endswith(_INPUT):
            # That of the embeddings is itself in INT8.
            inputs[header.name.removesuffix(_INPUT)] = _positive(header, float(values.flat[0]))
        else:
            tensors[header.name] = values
            if multiplier:
                weights[header.name] = multiplier
    return MarianModel(tensors, config, weights, inputs)


def _headers(reader: "_Bytes") -> Iterator[_TensorHeader]:
    version, count = reader.numbers("Q", 2)
    if version != 1:
        raise ValueError(f"it begins with {version}, and the version 1 of the format is supported.")
    if not 0 < count <= _MOST_TENSORS:
        raise ValueError(f"it says that it holds {count:,} tensors.")
    sizes = [reader.numbers("Q", 4) for _ in range(count)]
    for length, _, dimensions, _ in sizes:
        if length > _LONGEST_NAME or dimensions > _MOST_DIMENSIONS:
            raise ValueError("a name, or a shape, has a length that can't be.")
    names = [reader.take(length).rstrip(b"\0").decode() for length, *_ in sizes]
    shapes = [reader.numbers("i", dimensions) for _, _, dimensions, _ in sizes]
    for name, (_, kind, _, size), shape in zip(names, sizes, shapes, strict=True):
        yield _TensorHeader(name, kind, shape, size)


def _values(header: _TensorHeader, data: bytes) -> tuple[Array, float]:
    """A tensor as floats, and what its integers are to be divided by; 0 where it is in floats."""
    count, kind = math.prod(header.shape), np.dtype(_KINDS[header.kind])
    needed = count * kind.itemsize + (4 if header.kind == _INTGEMM8 else 0)
    if min(header.shape, default=0) < 1 or header.size < needed:
        raise ValueError(f"{header.name} has {header.size} bytes for the shape {header.shape}.")
    values = np.frombuffer(data, kind, count).astype(np.float32)
    if header.kind != _INTGEMM8:
        return values.reshape(header.shape), 0.0
    multiplier = _positive(header, float(np.frombuffer(data, "<f4", 1, count)[0]))
    if header.name.split("_")[-1] == _TABLE or len(header.shape) != 2:
        return values.reshape(header.shape), multiplier
    # intgemm has its matrices transposed.
    return values.reshape(header.shape[::-1]).T, multiplier


def _positive(header: _TensorHeader, multiplier: float) -> float:
    if not (math.isfinite(multiplier) and multiplier > 0):
        raise ValueError(f"{header.name} is scaled by {multiplier}.")
    return multiplier


def _configuration(data: bytes) -> dict[str, Any]:
    try:
        content = yaml.safe_load(data.rstrip(b"\0").decode())
    except Exception as error:  # each type of a value fails in its own way
        raise ValueError(f"{_CONFIG} can't be read: {in_one_line(error)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"it has no {_CONFIG}, which says how the model is built.")
    return content


class _Bytes:
    """Takes bytes from the front."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next ones.

        Raises:
            ValueError: there are fewer.

        """
        if size > len(self._content) - self._at:
            raise ValueError("it is cut off.")
        self._at += size
        return bytes(self._content[self._at - size : self._at])

    def numbers(self, kind: str, count: int) -> tuple[int, ...]:
        """The next numbers, of a type of `struct`."""
        form = f"<{count}{kind}"
        return struct.unpack(form, self.take(struct.calcsize(form)))
