"""ONNX graphs opened with ONNX Runtime on the processor, and what that processor can do."""

import functools
from pathlib import Path

import onnxruntime as ort

_INFORMATION = Path("/proc/cpuinfo")


class GraphError(RuntimeError):
    """A graph can't be opened; the message says which, and what to do."""


def open_graph(
    path: Path,
    threads: int,
    *,
    quantized: bool = False,
    fixed_shapes: bool = True,
    frugal: bool = False,
) -> ort.InferenceSession:
    """A session for the graph in a file, on so many threads (0: one a core).

    With `fixed_shapes` it keeps a plan of its memory for every shape that it has seen. A `frugal`
    session takes memory when it needs some and gives it back, and runs nodes in the order of the
    graph.

    Raises:
        GraphError: the file is missing or damaged.

    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = fixed_shapes and not frugal
    if frugal:
        options.enable_cpu_mem_arena = False
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    # Spinning threads would take the cores from Triton and the gateway between two steps.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without VNNI the sums of signed weights saturate; unsigned ones are exact there.  With it
    # they would only be slower: the entry acts on every processor.
    if not has_exact_int8():
        options.add_session_config_entry("session.x64quantprecision", "1")
    # Product and bias become one Gemm before the Q/DQ nodes are looked at, and a float Gemm stays.
    disabled = ["MatMulAddFusion"] if quantized else []
    providers = ["CPUExecutionProvider"]
    try:
        return ort.InferenceSession(str(path), options, providers, disabled_optimizers=disabled)
    except Exception as error:  # its errors have nothing else in common
        reason = " ".join(str(error).split())
        raise GraphError(
            f"{path} is no whole ONNX graph ({reason[:200]}): export the variant again."
        ) from error


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
