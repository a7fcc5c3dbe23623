"""The TensorRT that is installed: NVIDIA's `tensorrt`, or TensorRT for RTX, which has its API."""

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

MODULES = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt_rtx_bindings"}
"""The modules of the two flavours, in the order in which they are looked for."""


class TensorRTMissingError(RuntimeError):
    """Neither flavour of TensorRT can be imported."""


@dataclass(frozen=True)
class TensorRT:
    """A flavour of TensorRT: its name, its version, and its module."""

    flavour: str
    version: str
    api: Any


def installed() -> list[TensorRT]:
    """The flavours that can be imported, in the order of `MODULES`."""
    found = [(name, _imported(module)) for name, module in MODULES.items()]
    return [TensorRT(name, api.__version__, api) for name, api in found if api is not None]


def load_tensorrt(flavour: str = "") -> TensorRT:
    """The flavour that is asked for, or the first that is installed.

    Raises:
        TensorRTMissingError: it is not installed.

    """
    for library in installed():
        if flavour in ("", library.flavour):
            return library
    raise TensorRTMissingError(
        f"{flavour or 'TensorRT'} is not installed: `pip install tensorrt` where there is an "
        "NVIDIA GPU, or `pip install 'seqway-server[tensorrt]'` to build for other machines' GPUs."
    )


def _imported(name: str) -> ModuleType | None:
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError, RuntimeError):  # the bindings are there, and their library not
        return None
    return module if hasattr(module, "Builder") else None
