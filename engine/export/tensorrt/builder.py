"""One typed ONNX graph to one plan."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.export.tensorrt.layers import Layer, read_inspected, read_layers
from engine.runtime.sessions.tensorrt.library import TensorRT
from engine.runtime.sessions.tensorrt.plan import PlanError

logger = logging.getLogger(__name__)

Shape = tuple[int, ...]
Profile = Callable[[str, Shape], tuple[Shape, Shape, Shape]]
"""The least, the usual and the largest shape of an input, for its name and dimensions."""


@dataclass(frozen=True)
class Built:
    """A plan, the layers of its engine, and the names of the graph's inputs."""

    plan: bytes
    layers: list[Layer]
    inputs: list[str]


def build(
    library: TensorRT,
    graph: Path,
    compute_capability: str,
    profile: Profile,
    timing_cache: Path | None = None,
    *,
    exact: bool = True,
) -> Built:
    """Builds a plan for a GPU of `compute_capability`, strongly typed.

    Products in FP32 are `exact`, or round what they multiply to the 11 bits of FP16 (TF32). What
    the builder learns about kernels is read from and added to `timing_cache`.

    Raises:
        PlanError: TensorRT refuses the graph, or passes over one of its inputs.

    """
    trt = library.api
    log = _log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(_flags(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(graph)):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise PlanError(f"{graph.name}: TensorRT can't read the graph: {_short(reasons)}")
    _require_no_unused(graph, log.messages)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if exact:
        config.clear_flag(trt.BuilderFlag.TF32)
    else:
        config.set_flag(trt.BuilderFlag.TF32)
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)  # so that steps can be captured
    _aim(library, config, compute_capability)
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    shapes = builder.create_optimization_profile()
    for tensor in inputs:
        shapes.set_shape(tensor.name, *profile(tensor.name, tuple(tensor.shape)))
    config.add_optimization_profile(shapes)
    cache = _read_cache(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise PlanError(f"{graph.name}: TensorRT can't build it: {_short('; '.join(log.errors))}")
    _require_no_unused(graph, log.messages)
    if cache is not None and timing_cache is not None:
        _write_cache(bytes(cache.serialize()), timing_cache)
    names = [tensor.name for tensor in inputs]
    layers = read_layers(log.messages) or _inspected(trt, log, plan)
    return Built(bytes(plan), layers, names)


def _flags(trt: Any) -> int:
    """Strongly typed; from version 11 on there is nothing else."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _aim(library: TensorRT, config: Any, compute_capability: str) -> None:
    """Has the builder build for all GPUs of a compute capability.

    `tensorrt` knows only the one of this machine, and would build for that very model.
    """
    trt = library.api
    if library.flavour != "tensorrt_rtx":
        level = trt.HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY
        config.hardware_compatibility_level = level
        return
    name = f"SM{compute_capability.replace('.', '')}"
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)


def _read_cache(config: Any, path: Path | None) -> Any:
    """The timing cache that the builder goes on with, None where it takes none."""
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError:  # there is none yet, most often
        content = b""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        logger.warning("%s is of another TensorRT or GPU: it is made anew", path)
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _write_cache(content: bytes, path: Path) -> None:
    """The next build takes longer without it, and no worse."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        logger.warning("the timing cache %s can't be written: %s", path, error)


def _inspected(trt: Any, log: Any, plan: Any) -> list[Layer]:
    """The layers as the engine inspector tells them, which needs the GPU."""
    engine = trt.Runtime(log).deserialize_cuda_engine(plan)
    if engine is None:
        return []
    inspector = engine.create_engine_inspector()
    told = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    return read_inspected(told)


def _require_no_unused(graph: Path, messages: list[str]) -> None:
    for message in messages:
        if "Unused Input" in message:
            name = message.rpartition("Unused Input:")[2].strip()
            raise PlanError(
                f"{graph.name}: TensorRT does not use the graph's input {name}: what it says would "
                "be passed over in silence."
            )


def _log(trt: Any) -> Any:
    """A logger that keeps what is said; the builder's list of layers is VERBOSE."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.messages: list[str] = []
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message)
            self.messages.append(message)

    return Log()


def _short(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= 300 else f"{joined[:300]}..."
