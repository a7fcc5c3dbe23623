"""The constants of graphs: small ones in the message, big ones in files of their own.

A message has a copy of each constant, and so has every graph that is made from it.  While an
export works in a folder (`working_in`), big constants are written there once, part by part; graphs
hold a reference to the file, share it, and map it where its values are looked at.
"""

import ctypes
import hashlib
import mmap
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.generic]

BIG = 1 << 18
"""Bytes from which a constant is written to a file."""

PART = 16 << 20
"""Bytes of a constant that are in memory at once."""

_FOLDER: ContextVar[Path | None] = ContextVar("folder of an export", default=None)

Change = Callable[[Array], Array]
"""Computes other values from part of a constant's rows, of the same shape."""


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Inside, big constants and temporary files are kept in `folder`, which the caller removes."""
    before = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(before)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the time of a block; big constants that are made inside end with it."""
    with (
        tempfile.TemporaryDirectory(dir=_FOLDER.get()) as name,
        working_in(Path(name)) if _FOLDER.get() else _nowhere(),
    ):
        yield Path(name)


@contextmanager
def _nowhere() -> Iterator[None]:
    yield


def give_back() -> None:
    """Gives the memory back that the C library keeps for later, where it is glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def make_constant(name: str, array: Array, change: Change | None = None) -> TensorProto:
    """An initializer with the values of `array`, or with what `change` makes of them."""
    folder = _FOLDER.get()
    if folder is None or array.nbytes < BIG or not array.ndim:
        values = change(array) if change else array
        return numpy_helper.from_array(np.ascontiguousarray(values).reshape(array.shape), name)
    digest, dtype, length = hashlib.sha256(), array.dtype, 0
    with tempfile.NamedTemporaryFile(dir=folder, prefix="constant.", delete=False) as file:
        for part in _parts(array):
            values = change(part) if change else part
            dtype, content = values.dtype, values.tobytes()
            digest.update(content)
            file.write(content)
            length += len(content)
    stub = TensorProto(
        name=name,
        data_type=helper.np_dtype_to_tensor_dtype(dtype),
        dims=array.shape,
        data_location=TensorProto.EXTERNAL,
    )
    for key, value in (
        ("location", file.name),
        ("length", str(length)),
        ("checksum", digest.hexdigest()),
    ):
        stub.external_data.add(key=key, value=value)
    return stub


def values_of(constant: TensorProto) -> Array:
    """The values of an initializer: a big one's are mapped, and read where they are looked at."""
    if constant.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(constant)
    dtype = helper.tensor_dtype_to_np_dtype(constant.data_type)
    # Not `np.memmap`, whose slices and results are memmaps too.
    with _file(constant).open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, dtype=dtype).reshape(constant.dims)


def size_of(constant: TensorProto) -> int:
    """The bytes of an initializer."""
    if constant.data_location == TensorProto.EXTERNAL:
        return int(_entry(constant, "length"))
    return len(constant.raw_data)


def digest_of(constant: TensorProto) -> bytes:
    """The SHA-256 of an initializer's bytes."""
    if constant.data_location == TensorProto.EXTERNAL:
        return bytes.fromhex(_entry(constant, "checksum"))
    return hashlib.sha256(constant.raw_data).digest()


def bytes_of(constant: TensorProto) -> Iterator[bytes]:
    """The bytes of an initializer, part by part."""
    if constant.data_location != TensorProto.EXTERNAL:
        yield constant.raw_data
        return
    with _file(constant).open("rb") as file:
        while part := file.read(PART):
            yield part


def in_memory(constant: TensorProto) -> TensorProto:
    """The initializer with its bytes in the message."""
    if constant.data_location != TensorProto.EXTERNAL:
        return constant
    return TensorProto(
        name=constant.name,
        data_type=constant.data_type,
        dims=constant.dims,
        raw_data=_file(constant).read_bytes(),
    )


def largest_of(array: Array) -> float:
    """The largest absolute value of real numbers, 0 of none; an array is never copied for it."""
    if not array.size:
        return 0.0
    return float(max(array.max(), -array.min()))


def _parts(array: Array) -> Iterator[Array]:
    """`array` in groups of rows of about `PART` bytes."""
    rows = max(1, PART // max(1, array.nbytes // len(array)))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _file(constant: TensorProto) -> Path:
    return Path(_entry(constant, "location"))


def _entry(constant: onnx.TensorProto, key: str) -> str:
    return next(str(entry.value) for entry in constant.external_data if entry.key == key)
