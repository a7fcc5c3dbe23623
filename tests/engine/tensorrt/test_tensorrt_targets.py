"""Which flavour of TensorRT builds for which GPU."""

from types import SimpleNamespace

import pytest

from engine.export.tensorrt import targets
from engine.export.tensorrt.targets import choose, gpu_here, offered
from engine.runtime.sessions.tensorrt import cuda as cuda_module
from engine.runtime.sessions.tensorrt.cuda import CudaError
from engine.runtime.sessions.tensorrt.library import TensorRT, TensorRTMissingError, load_tensorrt
from engine.runtime.sessions.tensorrt.plan import PlanError
from tests.engine.tensorrt import twin

AHEAD = TensorRT(
    "tensorrt_rtx", "1.7", SimpleNamespace(ComputeCapability=SimpleNamespace(SM80=1, SM89=2, MAX=3))
)
HERE = TensorRT("tensorrt", "11.4", SimpleNamespace())


@pytest.mark.parametrize(
    ("libraries", "wanted", "here", "flavour", "built"),
    [
        ([HERE, AHEAD], [], "8.9", "tensorrt", ["8.9"]),
        ([HERE, AHEAD], ["8.9"], "8.9", "tensorrt", ["8.9"]),
        ([HERE, AHEAD], ["8.0", "8.9"], "8.9", "tensorrt_rtx", ["8.0", "8.9"]),
        ([HERE, AHEAD], ["8.0"], "", "tensorrt_rtx", ["8.0"]),
        ([HERE, AHEAD], [], "9.0", "tensorrt", ["9.0"]),
        ([AHEAD], [], "8.0", "tensorrt_rtx", ["8.0"]),
        ([AHEAD], ["8.9"], "9.0", "tensorrt_rtx", ["8.9"]),
    ],
)
def test_the_first_that_builds_for_all_is_taken(
    libraries: list[TensorRT], wanted: list[str], here: str, flavour: str, built: list[str]
) -> None:
    library, found = choose(libraries, wanted, here)
    assert (library.flavour, found) == (flavour, built)


@pytest.mark.parametrize(
    ("libraries", "wanted", "here", "message"),
    [
        ([HERE, AHEAD], [], "", "no GPU here to build for: name some with .*, of 80, 89"),
        ([HERE], [], "", "no GPU here to build for"),
        ([AHEAD], [], "9.0", r"can't build for compute capability 9\.0; it can for 8\.0, 8\.9"),
        ([HERE], ["8.0"], "9.0", r"capability 8\.0; it builds for .* own machine, which has 9\.0"),
        ([HERE], ["8.0"], "", r"capability 8\.0; it builds for .* machine, and there is none"),
        ([HERE, AHEAD], ["9.0", "8.0"], "9.0", r"tensorrt 11.4 can't .* 8\.0.*; tensorrt_rtx 1\.7"),
    ],
)
def test_what_none_builds_for_is_told_in_one_sentence(
    libraries: list[TensorRT], wanted: list[str], here: str, message: str
) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        choose(libraries, wanted, here)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_the_gpu_here_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_module, "load_cuda", lambda: twin.Cuda((9, 0)))
    assert gpu_here() == "9.0"
    monkeypatch.setattr(cuda_module, "load_cuda", lambda: twin.Cuda(devices=0))
    assert gpu_here() == ""


def test_a_broken_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(device: int) -> None:
        raise CudaError("cudaSetDevice failed.")

    monkeypatch.setattr(targets, "count_devices", lambda: 1)
    monkeypatch.setattr(targets, "Cuda", broken)
    assert gpu_here() == ""


def test_tensorrt_for_rtx_names_what_the_tests_build_for() -> None:
    try:
        library = load_tensorrt("tensorrt_rtx")
    except TensorRTMissingError:
        pytest.importorskip("tensorrt_rtx_bindings")
        raise
    assert {"8.0", "8.9"} <= set(offered(library, ""))
