"""`seqway-gpu-driver`: whether a GPU is here, and its driver runs the CUDA that we bring.

NVIDIA's entry point looks for this, and ours stands in its place.  The driver's library is asked,
not the module of the kernel: where NVIDIA's container toolkit puts in its libraries for an older
driver (forward compatibility), that one runs our CUDA too.
"""

import ctypes
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CUDA = 13
"""The major version of CUDA that PyTorch and TensorRT are built for."""

OLDEST_DRIVER = 580
"""The branch of drivers that brought it (NVIDIA's "CUDA Compatibility")."""

_LIBRARY = "libcuda.so.1"
_KERNEL_MODULE = Path("/proc/driver/nvidia/version")
_UNKNOWN = "an unknown version"

_REASONS = {
    100: "no GPU can be seen",
    802: "the fabric manager of this machine does not run",
    803: "its module in the kernel is of another version than its library: restart the machine",
    804: "the libraries of CUDA's forward compatibility do not run on this GPU",
}
"""What `cuInit` says, by the numbers of CUresult."""


def main() -> int:
    """0 when a GPU can be used, else 1 with what is wrong and what to do."""
    found = fault()
    if found:
        advice = (
            f"This image needs a GPU and driver {OLDEST_DRIVER} or newer; the image triton-cpu "
            "runs models on processors."
        )
        print(f"seqway-gpu-driver: {found} {advice}", file=sys.stderr)  # noqa: T201
    return int(bool(found))


def fault(load: Callable[[str], Any] = ctypes.CDLL, kernel_module: Path = _KERNEL_MODULE) -> str:
    """A sentence about what keeps CUDA from running here; "" when nothing does."""
    try:
        library = load(_LIBRARY)
    except OSError:
        return _without_library(kernel_module)
    number = ctypes.c_int()
    error = library.cuDriverGetVersion(ctypes.byref(number))
    if not error and number.value // 1000 < CUDA:
        major, minor = number.value // 1000, number.value % 1000 // 10
        return (
            f"NVIDIA's driver is too old: {_driver(kernel_module)} runs CUDA {major}.{minor}, and "
            f"CUDA {CUDA} needs driver {OLDEST_DRIVER} or newer."
        )
    error = error or library.cuInit(0)
    if not error:
        return ""
    reason = _REASONS.get(error, f"CUDA can't be started (error {error})")
    return f"no GPU can be used with NVIDIA's driver ({_driver(kernel_module)}): {reason}."


def _without_library(kernel_module: Path) -> str:
    if not kernel_module.exists():
        return "there is no NVIDIA driver."
    return (
        f"NVIDIA's driver ({_driver(kernel_module)}) is in the kernel, and its {_LIBRARY} is not "
        "here: a container gets it from NVIDIA's runtime (docker: --gpus all)."
    )


def _driver(kernel_module: Path) -> str:
    """The driver's number, such as "570.86.10"."""
    try:
        found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", kernel_module.read_text(encoding="utf-8"))
    except OSError:
        return _UNKNOWN
    return found.group() if found else _UNKNOWN


if __name__ == "__main__":
    sys.exit(main())
