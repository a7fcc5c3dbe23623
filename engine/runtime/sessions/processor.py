"""What the processor can do, by its flags."""

import functools
from pathlib import Path

_INFORMATION = Path("/proc/cpuinfo")


def processor_flags(information: Path = _INFORMATION) -> frozenset[str]:
    """The instruction sets that the kernel names for the first processor; empty if none."""
    try:
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    fields = (line.partition(":") for line in lines)
    values = (value for key, _, value in fields if key.strip() == "flags")
    return frozenset(next(values, "").split())


def sums_int8_exactly(flags: frozenset[str]) -> bool:
    """Whether ONNX Runtime's signed-weight INT8 kernels on x86 add without saturation.

    With VNNI (`vpdpbusd`) four products are added in 32 bits.  Without it pairs are added in 16
    bits first, which saturate (`vpmaddubsw`).  ONNX Runtime prefers its AVX-512 kernels where it
    can run them, so AVX-VNNI alone counts only where there is no AVX-512 (`platform.cpp` of MLAS).
    """
    if "avx512_vnni" in flags:
        return True
    return "avx_vnni" in flags and "avx512bw" not in flags


@functools.cache
def has_exact_int8() -> bool:
    """`sums_int8_exactly` of the processor that this process runs on."""
    return sums_int8_exactly(processor_flags())
