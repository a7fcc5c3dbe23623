"""The devices that plans are made for.

Peaks, memory and links are public specifications: NVIDIA's data sheets of H100 (SXM5), H200 (SXM),
A100 (SXM4, 80 GB), L4, L40S and A10, dense, without structured sparsity.  All else is assumption,
and named so: nothing has been measured on a GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.export.precision.recipes import Precision
from engine.parallel.capacity.errors import CapacityError

GIGA = 1e9


@dataclass(frozen=True)
class Link:
    """What joins the devices of a machine; bytes a second in one direction.

    `latency` is what a collective of two ranks takes at least, in seconds, `hop` what each further
    rank adds: assumptions, after what NCCL is known for inside a machine (8 to 12 us on NVLink).
    """

    bandwidth: float
    latency: float
    hop: float


NVLINK_LATENCY, PCIE_LATENCY, HOP = 9e-6, 20e-6, 1e-6


@dataclass(frozen=True)
class Accelerator:
    """A GPU: bytes, bytes a second, FLOP/s by the type that is multiplied, and its link.

    `half_flops` are those of FP16 and BF16 with tensor cores, `float_flops` those of FP32 without,
    as the session computes it.
    """

    name: str
    memory: float
    bandwidth: float
    half_flops: float
    float_flops: float
    link: Link


@dataclass(frozen=True)
class Efficiency:
    """Assumptions: what a session reaches of the peaks, and what each kernel costs it.

    `memory` and `products` are shares of the data sheet's peaks: a step of Marian base on an H100
    then takes what `tests/gpu/shapes.py` has as targets.  `kernel` are seconds from one kernel of a
    CUDA graph to the next, `step` seconds of the host a step that the device waits for.
    `decoder_kernels` and `encoder_kernels` are launched a layer.
    """

    memory: float = 0.36
    products: float = 0.36
    kernel: float = 1.1e-6
    step: float = 15e-6
    decoder_kernels: int = 15
    encoder_kernels: int = 11
    reserve: float = 1.5 * GIGA
    """Bytes of a rank for CUDA itself, the libraries' workspaces and captured graphs."""


ASSUMED = Efficiency()

_NVLINK_4 = Link(450 * GIGA, NVLINK_LATENCY, HOP)
_NVLINK_3 = Link(300 * GIGA, NVLINK_LATENCY, HOP)
_PCIE_4 = Link(32 * GIGA, PCIE_LATENCY, 2 * HOP)

ACCELERATORS: Mapping[str, Accelerator] = MappingProxyType(
    {
        one.name: one
        for one in (
            Accelerator("h100", 80 * GIGA, 3350 * GIGA, 989e12, 67e12, _NVLINK_4),
            Accelerator("h200", 141 * GIGA, 4800 * GIGA, 989e12, 67e12, _NVLINK_4),
            Accelerator("a100", 80 * GIGA, 2039 * GIGA, 312e12, 19.5e12, _NVLINK_3),
            Accelerator("l40s", 48 * GIGA, 864 * GIGA, 362e12, 91.6e12, _PCIE_4),
            Accelerator("l4", 24 * GIGA, 300 * GIGA, 121e12, 30.3e12, _PCIE_4),
            Accelerator("a10", 24 * GIGA, 600 * GIGA, 125e12, 31.2e12, _PCIE_4),
        )
    }
)

PROCESSOR = "cpu"
"""The name of what this machine has instead: it is measured on the spot."""


def accelerator_named(name: str) -> Accelerator:
    """The GPU of that name, in any case.

    Raises:
        CapacityError: it is not in the table.

    """
    found = ACCELERATORS.get(name.lower())
    if found is None:
        known = ", ".join([*ACCELERATORS, PROCESSOR])
        raise CapacityError(f"--gpu {name} is not known; choose from {known}.")
    return found


def stored_bytes(precision: Precision, *, large: bool = True) -> int:
    """Bytes of a weight in a GPU's memory; INT8 stays so only in `large` models."""
    if precision == "fp32":
        return 4
    return 1 if precision == "int8" and large else 2


def value_bytes(precision: Precision) -> int:
    """Bytes of a value that a GPU computes, keeps in a cache and sends."""
    return 4 if precision == "fp32" else 2
