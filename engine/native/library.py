"""The native library through ctypes, as `src/api.h` declares it.  Calls release the interpreter."""

import ctypes
import functools
from collections.abc import Mapping
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIBRARY = Path(__file__).parent / "libseqway.so"
ABI = 9

ACTIVATIONS = ("none", "relu", "gelu", "gelu_tanh", "silu", "tanh")
"""In the order of `Activation` in `src/model.h`."""

Tensors = Mapping[str, NDArray[Any]]


class NativeError(RuntimeError):
    """The native library refused a call; the message says why."""


class NativeMissingError(NativeError):
    """The native library is not there, or of another version; the message says what to do."""


class NativeConfig(ctypes.Structure):
    """`SeqwayConfig`: sizes and choices of a model; head and hidden widths are padded to 16."""

    SIZES = (
        *("vocabulary", "source_vocabulary", "width", "max_positions", "furthest", "pad_id"),
        *("encoder_layers", "encoder_heads", "encoder_head", "encoder_hidden"),
        *("decoder_layers", "decoder_heads", "decoder_head", "decoder_hidden"),
        *("pre_norm", "rms", "gated", "pads_have_no_position", "half_caches"),
        *("recurrent", "shortlist", "screen", "local_radius", "global_block"),
    )
    FLOATS = ("epsilon", "screen_error", "screen_norm")
    _fields_ = (
        *((name, c_int32) for name in SIZES),
        ("activation", c_int32),
        *((name, c_float) for name in FLOATS),
    )


class NativeEncoderConfig(ctypes.Structure):
    """`SeqwayEncoderConfig`, likewise."""

    SIZES = (
        *("vocabulary", "width", "embedding_width", "max_positions", "token_types"),
        *("layers", "heads", "head", "hidden", "labels"),
        *("pre_norm", "embedding_norm", "projects", "spans"),
    )
    _fields_ = (
        *((name, c_int32) for name in SIZES),
        ("activation", c_int32),
        ("head_activation", c_int32),
        ("epsilon", c_float),
    )


class NativeTensor(ctypes.Structure):
    """`SeqwayTensor`."""

    _fields_ = (("name", c_char_p), ("data", c_void_p), ("bytes", c_int64))


class NativeStep(ctypes.Structure):
    """`SeqwayStep`."""

    _fields_ = (
        ("rows", c_int32),
        ("cross_width", c_int32),
        ("most_candidates", c_int32),
        *(
            (name, c_void_p)
            for name in (
                *("ids", "positions", "slots", "texts", "next_ids", "log_probs"),
                *("logits", "suppressed_logits", "cross_weights"),
                *("wanted", "candidate_ids", "candidate_logits"),
            )
        ),
    )


class NativeState(ctypes.Structure):
    """`SeqwayState`."""

    _fields_ = (
        *((name, c_int32) for name in ("rows", "longest", "cycles", "end")),
        *(
            (name, c_void_p)
            for name in (
                *("ids", "positions", "limits", "forced", "history", "log_probs"),
                *("runs", "loops", "watched", "ended", "looping"),
            )
        ),
    )


class NativeBeams(ctypes.Structure):
    """`SeqwayBeams`."""

    NUMBERS = (
        *("texts", "width", "capacity", "longest"),
        *("most_candidates", "suppressed", "renormalizes"),
    )
    _fields_ = (
        *((name, c_int32) for name in NUMBERS),
        ("end", c_int64),
        *(
            (name, c_void_p)
            for name in (
                *("slots", "positions", "limits", "forced", "scores", "log_probs"),
                *("candidate_ids", "candidate_logits", "suppressed_logits"),
                *("placed", "next_ids", "next_log_probs", "next_scores", "is_over"),
            )
        ),
        ("copies", c_int32),
        ("ended", c_int32),
        *(
            (name, c_void_p)
            for name in (
                *("sources", "targets", "ended_texts", "ended_slots", "ended_ids"),
                *("ended_scores", "ended_log_probs"),
            )
        ),
    )


_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "seqway_abi": (c_int, []),
    "seqway_error": (c_char_p, []),
    "seqway_backends": (c_char_p, []),
    "seqway_model_new": (
        c_void_p,
        [POINTER(NativeConfig), POINTER(NativeTensor), c_int, c_void_p, c_int],
    ),
    "seqway_encoder_new": (
        c_void_p,
        [POINTER(NativeEncoderConfig), POINTER(NativeTensor), c_int],
    ),
    "seqway_model_free": (None, [c_void_p]),
    "seqway_lane_new": (c_void_p, [c_void_p, c_int, c_char_p]),
    "seqway_lane_free": (None, [c_void_p]),
    "seqway_encode": (c_int, [c_void_p, c_void_p, c_void_p, c_int, POINTER(c_void_p)]),
    "seqway_text_free": (None, [c_void_p]),
    "seqway_read": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_int, c_void_p]),
    "seqway_step": (c_int, [c_void_p, POINTER(NativeStep)]),
    "seqway_logits": (c_int, [c_void_p, c_int, c_void_p]),
    "seqway_advance": (c_int, [c_void_p, POINTER(NativeStep), POINTER(NativeState)]),
    "seqway_run": (
        c_int,
        [c_void_p, POINTER(NativeStep), POINTER(NativeState), c_int, c_double, c_void_p],
    ),
    "seqway_join": (c_int, [POINTER(NativeBeams)]),
    "seqway_copy": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_int]),
    "seqway_trim": (c_int, [c_void_p, c_void_p, c_int]),
    "seqway_multiply": (
        c_int,
        [c_char_p, POINTER(NativeTensor), c_int, c_int, c_int, c_void_p, c_int, c_int, c_void_p],
    ),
}


@functools.cache
def library() -> ctypes.CDLL:
    """The library, loaded once.

    Raises:
        NativeMissingError: it was not built, or by another version.

    """
    try:
        found = ctypes.CDLL(str(LIBRARY))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise NativeMissingError(f"{error}: build it with `make native`") from error
    if found.seqway_abi() != ABI:
        raise NativeMissingError(f"{LIBRARY} is of another version: build it with `make native`")
    return found


def is_there() -> bool:
    """Whether the library can be loaded."""
    try:
        library()
    except NativeMissingError:
        return False
    return True


def backends() -> list[str]:
    """The instruction sets that this processor runs, the fastest first."""
    names: bytes = library().seqway_backends()
    return names.decode().split(",")


def check(status: int) -> None:
    """Raises `NativeError` with the reason of a call that failed."""
    if status:
        raise NativeError(library().seqway_error().decode())


def made(pointer: int | None) -> int:
    """The pointer that a call returned; raises `NativeError` if it gave none."""
    if not pointer:
        raise NativeError(library().seqway_error().decode())
    return pointer


def address(array: NDArray[Any]) -> int:
    """Where a whole array's values lie."""
    assert array.flags.c_contiguous
    return array.ctypes.data


def table_of(tensors: Tensors) -> Any:
    """An array of `SeqwayTensor`, good while the tensors live."""
    return (NativeTensor * len(tensors))(
        *(
            NativeTensor(name.encode(), array.ctypes.data, array.nbytes)
            for name, array in tensors.items()
        )
    )


def multiply(
    tensors: Tensors,
    x: NDArray[np.float32],
    width: int,
    activation: str = "none",
    backend: str = "",
) -> NDArray[np.float32]:
    """`activation(W x + bias)`, `[rows,out]`, of the product "product" in `tensors`.

    `x [rows, in padded to 16]` holds zeros behind its `width` columns.
    """
    rows, out = len(x), tensors["product.bias"].size
    y = np.empty((rows, out), np.float32)
    kind = ACTIVATIONS.index(activation)
    values = np.ascontiguousarray(x, np.float32)
    call = library().seqway_multiply
    table = table_of(tensors)
    check(
        call(
            backend.encode(),
            *(table, len(tensors), width, out),
            *(values.ctypes.data, rows, kind, y.ctypes.data),
        )
    )
    return y
