"""The twin has the names and parameters of the real bindings."""

import inspect
import os
import re
from typing import Any

import pytest

from tests.engine.tensorrt import twin


def _module(name: str) -> Any:
    """The module; without it the test is skipped here, and fails in CI."""
    if os.environ.get("CI"):
        return __import__(name, fromlist=["x"])
    return pytest.importorskip(name)


TENSORRT = [
    ("ICudaEngine", twin.Engine),
    ("IExecutionContext", twin.Context),
]


def _own_methods(kind: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"]


@pytest.mark.parametrize(("name", "kind"), TENSORRT)
def test_tensorrt_has_what_the_twin_has(name: str, kind: type) -> None:
    real = getattr(_module("tensorrt_rtx_bindings"), name)
    for method in _own_methods(kind):
        ours = list(inspect.signature(getattr(kind, method)).parameters)[1:]
        assert _fits(ours, getattr(real, method).__doc__, method), method
    for attribute, value in vars(kind).items():
        if isinstance(value, property):
            assert hasattr(real, attribute)


def test_the_runtime_of_tensorrt_has_what_the_twin_has() -> None:
    trt = _module("tensorrt_rtx_bindings")
    kind = twin.TensorRT(twin.Cuda()).Runtime
    ours = list(inspect.signature(kind.deserialize_cuda_engine).parameters)[1:]
    assert _fits(ours, trt.Runtime.deserialize_cuda_engine.__doc__, "deserialize_cuda_engine")
    assert _fits(["logger"], trt.Runtime.__init__.__doc__, "__init__")
    assert trt.Logger(trt.Logger.WARNING)
    assert {mode.name for mode in twin.Mode} == {"INPUT", "OUTPUT"}
    assert hasattr(trt.TensorIOMode, "INPUT") and hasattr(trt.TensorIOMode, "OUTPUT")
    for kind_of_number in twin.Type:
        assert getattr(trt.DataType, kind_of_number.name).name == kind_of_number.name
    assert trt.DataType.BF16.name == "BF16"


def test_cuda_has_what_the_twin_has() -> None:
    runtime = _module("cuda.bindings.runtime")
    for method in _own_methods(twin.Cuda):
        ours = list(inspect.signature(getattr(twin.Cuda, method)).parameters)[1:]
        real = getattr(runtime, method)
        assert _fits(ours, real.__doc__, method), f"{method}: {real.__doc__[:200]}"
    for enum in ("cudaMemcpyKind", "cudaStreamCaptureMode", "cudaDeviceAttr"):
        for member in getattr(twin.Cuda, enum):
            assert int(getattr(getattr(runtime, enum), member.name)) == int(member)


def _fits(ours: list[str], documentation: str, method: str) -> bool:
    """Whether a documented signature has these parameters, but for those with defaults."""
    for found in re.finditer(rf"{method}\(([^\n]*)\)", documentation):
        parts = [part for part in re.split(r",(?![^\[]*\])", found[1]) if part.strip()]
        names = [_parameter(part) for part in parts if "=" not in part]
        if [name for name in names if name != "self"] == ours:
            return True
    return False


def _parameter(text: str) -> str:
    """`size_t dpitch`, `kind: cudaMemcpyKind` and `name` are `dpitch`, `kind` and `name`."""
    before = text.partition(":")[0].strip()
    return before.split()[-1].lstrip("*")
