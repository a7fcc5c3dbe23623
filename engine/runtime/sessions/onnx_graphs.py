"""ONNX graphs opened with ONNX Runtime on the processor."""

from pathlib import Path

import onnxruntime as ort

from engine.runtime.sessions.processor import has_exact_int8


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
