"""The twin, and what builds plans, call names and parameters that the real bindings have."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.tensorrt import twin

ROOT = Path(__file__).parents[3]
FLAVOURS = {"tensorrt_rtx": "tensorrt_rtx_bindings", "tensorrt": "tensorrt_bindings"}

CALLS = {
    "Runtime": {"__init__": ["logger"], "deserialize_cuda_engine": ["serialized_engine"]},
    "Builder": {
        "__init__": ["logger"],
        "create_network": [],
        "create_builder_config": [],
        "create_optimization_profile": [],
        "build_serialized_network": ["network", "config"],
    },
    "OnnxParser": {
        "__init__": ["network", "logger"],
        "parse_from_file": ["model"],
        "get_error": ["index"],
    },
    "INetworkDefinition": {"get_input": ["index"]},
    "IOptimizationProfile": {"set_shape": ["input", "min", "opt", "max"]},
    "IBuilderConfig": {
        "add_optimization_profile": ["profile"],
        "create_timing_cache": ["serialized_timing_cache"],
        "set_timing_cache": ["cache", "ignore_mismatch"],
        "set_flag": ["flag"],
        "clear_flag": ["flag"],
    },
    "ITimingCache": {"serialize": []},
    "ICudaEngine": {"create_engine_inspector": []},
    "EngineInspector": {"get_engine_information": ["format"]},
}
"""What `builder` and `PlanEngine` call beyond what the twin has."""

ATTRIBUTES = {
    "INetworkDefinition": ["num_inputs"],
    "OnnxParser": ["num_errors"],
    "IBuilderConfig": ["profiling_verbosity"],
}

MEMBERS = {
    "ProfilingVerbosity": ["DETAILED"],
    "LayerInformationFormat": ["JSON"],
    "ExecutionContextAllocationStrategy": [one.name for one in twin.Allocation],
    "TensorIOMode": [mode.name for mode in twin.Mode],
    "DataType": [*(kind.name for kind in twin.Type), "BF16", "INT32"],
}


def _require(found: bool, what: str) -> None:
    """What a test needs: without it, it is skipped here, and fails in CI."""
    if not found and os.environ.get("CI"):
        pytest.fail(f"{what} is missing.")
    if not found:
        pytest.skip(f"{what} is missing")


@pytest.fixture(scope="module", params=FLAVOURS)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A flavour's bindings as `signatures` describes them, and `flavour`."""
    module = FLAVOURS[request.param]
    folder = []
    if request.param == "tensorrt":
        _require(shutil.which("cc") is not None, "A C compiler")
        folder = [str(tmp_path_factory.mktemp("libraries"))]
    command = [sys.executable, "-m", "tests.engine.tensorrt.signatures", module, *folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    _require("No module named" not in done.stderr, module)
    assert done.returncode == 0, done.stderr
    return {"flavour": request.param, **json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("name", "kind"), [("ICudaEngine", twin.Engine), ("IExecutionContext", twin.Context)]
)
def test_tensorrt_has_what_the_twin_has(real: Any, name: str, kind: type) -> None:
    for method in _own_methods(kind):
        ours = list(inspect.signature(getattr(kind, method)).parameters)[1:]
        assert _fits(ours, real[name][method], method), method
    for attribute, value in vars(kind).items():
        if isinstance(value, property):
            assert attribute in real[name]


@pytest.mark.parametrize("name", CALLS)
def test_tensorrt_takes_our_calls(real: Any, name: str) -> None:
    for method, ours in CALLS[name].items():
        assert _fits(ours, real[name][method], method), f"{method}: {real[name].get(method)}"


def test_tensorrt_has_what_we_read_and_set(real: Any) -> None:
    for name, attributes in ATTRIBUTES.items():
        assert set(attributes) <= set(real[name])
    for name, members in MEMBERS.items():
        assert set(members) <= set(real[name])
    assert "TF32" in real["BuilderFlag"]
    assert "STRONGLY_TYPED" in real["NetworkDefinitionCreationFlag"]
    assert {"INTERNAL_ERROR", "ERROR", "WARNING", "VERBOSE"} <= set(real["Logger"])


def test_contexts_of_tensorrt_for_rtx_have_what_the_twins_have(real: Any) -> None:
    if real["flavour"] != "tensorrt_rtx":
        assert "DynamicShapesKernelSpecializationStrategy" not in real
        return
    method = "is_stream_capturable"
    assert _fits(["stream"], real["IExecutionContext"][method], method)
    assert {one.name for one in twin.Strategy} == set(
        real["DynamicShapesKernelSpecializationStrategy"]
    )
    read = {one for one in dir(twin.RuntimeConfig()) if one[0] != "_"}
    assert read <= set(real["IRuntimeConfig"])
    assert "runtime_config" in real["ICudaEngine"]["create_execution_context"]
    assert "REQUIRE_USER_ALLOCATION" in real["BuilderFlag"]


def test_each_flavour_can_be_aimed_at_a_gpu(real: Any) -> None:
    if real["flavour"] == "tensorrt_rtx":
        assert "num_compute_capabilities" in real["IBuilderConfig"]
        documented = real["IBuilderConfig"]["set_compute_capability"]
        assert re.search(r"ComputeCapability, \w+: [\w.]*(SupportsInt|int)\b", documented)
        assert {"SM80", "SM89"} <= set(real["ComputeCapability"])
    else:
        assert "hardware_compatibility_level" in real["IBuilderConfig"]
        assert "SAME_COMPUTE_CAPABILITY" in real["HardwareCompatibilityLevel"]
        assert "ComputeCapability" not in real


def test_cuda_has_what_the_twin_has() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime") if not os.environ.get("CI") else None
    runtime = runtime or __import__("cuda.bindings.runtime", fromlist=["x"])
    for method in _own_methods(twin.Cuda):
        ours = list(inspect.signature(getattr(twin.Cuda, method)).parameters)[1:]
        real = getattr(runtime, method)
        assert _fits(ours, real.__doc__, method), f"{method}: {real.__doc__[:200]}"
    for enum in ("cudaMemcpyKind", "cudaStreamCaptureMode", "cudaDeviceAttr"):
        for member in getattr(twin.Cuda, enum):
            assert int(getattr(getattr(runtime, enum), member.name)) == int(member)


def test_a_box_of_cuda_is_filled_in_place() -> None:
    """As the twin's: what is set in its parts is in the whole."""
    runtime = pytest.importorskip("cuda.bindings.runtime")
    assert int(runtime.cudaStreamNonBlocking) == twin.Cuda.cudaStreamNonBlocking
    box = runtime.cudaMemcpy3DParms()
    box.srcPtr.ptr, box.srcPtr.pitch, box.srcPtr.ysize, box.extent.depth = 4096, 64, 9, 5
    assert (box.srcPtr.ptr, box.srcPtr.pitch, box.srcPtr.ysize) == (4096, 64, 9)
    assert box.extent.depth == 5


def _own_methods(kind: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"]


def _fits(ours: list[str], documentation: str, method: str) -> bool:
    """Whether a documented signature has these parameters, with or without its defaults."""
    for found in re.finditer(rf"{method}\(([^\n]*)\)", documentation):
        parts = [part for part in re.split(r",(?![^\[]*\])", found[1]) if part.strip()]
        every = [_parameter(part) for part in parts]
        needed = [_parameter(part) for part in parts if "=" not in part]
        if ours in [[name for name in names if name != "self"] for names in (every, needed)]:
            return True
    return False


def _parameter(text: str) -> str:
    """`size_t dpitch`, `kind: cudaMemcpyKind` and `name` are `dpitch`, `kind` and `name`."""
    before = text.partition(":")[0].strip()
    return before.split()[-1].lstrip("*")
