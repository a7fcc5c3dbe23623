"""Which TensorRT builds for which GPUs."""

from collections.abc import Sequence

from engine.runtime.sessions.tensorrt.cuda import Cuda, CudaError, count_devices
from engine.runtime.sessions.tensorrt.library import TensorRT
from engine.runtime.sessions.tensorrt.plan import PlanError

_NO_FLOAT = {"SM75"}
"""Where TensorRT for RTX has no products in FP32, which our logits are computed in."""


def gpu_here() -> str:
    """The compute capability of this machine's first GPU, such as "8.9"; "" without one."""
    try:
        return Cuda(0).compute_capability if count_devices() else ""
    except CudaError:
        return ""


def offered(library: TensorRT, here: str) -> list[str]:
    """The compute capabilities that a flavour builds for: those it names, or that of the GPU here.

    TensorRT for RTX names what it can build ahead of time; `tensorrt` builds for its own machine.
    """
    choices = getattr(library.api, "ComputeCapability", None)
    if choices is None:
        return [here] if here else []
    names = [name for name in dir(choices) if name.startswith("SM") and name[2:].isdigit()]
    numbers = sorted(int(name[2:]) for name in names if name not in _NO_FLOAT)
    return [f"{number // 10}.{number % 10}" for number in numbers]


def choose(
    libraries: Sequence[TensorRT], wanted: Sequence[str], here: str
) -> tuple[TensorRT, list[str]]:
    """The first of `libraries` that builds for all that is wanted, and for what: by default `here`.

    Raises:
        PlanError: none does, or nothing is wanted and there is no GPU.

    """
    targets = list(wanted) or ([here] if here else [])
    choices = {library.flavour: offered(library, here) for library in libraries}
    if not targets:
        every = sorted({one for some in choices.values() for one in some}, key=float)
        raise PlanError(
            "there is no GPU here to build for: name some with --compute-capability, of "
            f"{', '.join(one.replace('.', '') for one in every) or 'none that can be built for'}."
        )
    for library in libraries:
        if set(targets) <= set(choices[library.flavour]):
            return library, targets
    reasons = [_limits(library, targets, choices[library.flavour]) for library in libraries]
    raise PlanError(f"{'; '.join(reasons)}.")


def _limits(library: TensorRT, targets: Sequence[str], choices: Sequence[str]) -> str:
    missing = ", ".join(one for one in targets if one not in choices)
    if library.flavour == "tensorrt_rtx":
        able = f"it can for {', '.join(choices)}"
    elif choices:
        able = f"it builds for the GPU of its own machine, which has {choices[0]}"
    else:
        able = "it builds for the GPU of its own machine, and there is none"
    return (
        f"{library.flavour} {library.version} can't build for compute capability {missing}; {able}"
    )
