"""Each kernel of the torch session beside the same in FP64, on what poisons a mistake."""

from collections.abc import Iterator
from typing import Any

import torch

from engine.runtime.sessions.torch import kernels as package
from tests.gpu.part import Part
from tests.gpu.phases.bench import Bench
from tests.gpu.phases.kernel_cases import CASES, Compared, Draw

_SEEDS = 3
_POISONED = (1 << 23, *[1 << 17] * 16)
"""Numbers in tensors that are freed full of NaN: what is allocated next lies there."""


def kernels(bench: Bench, part: Part) -> None:
    """All that the package exports and a case is known for; one that fails does not stop others."""
    chosen = getattr(package, "kernels_for", None)
    part["implementation"] = chosen(bench.device).__name__ if chosen else "plain"
    if bench.is_cuda and chosen:
        # The log says why not, where plain ones take their place.
        part.gate(
            "Triton's language works", chosen(bench.device) is not chosen(torch.device("cpu"))
        )
    names = [name for name in package.__all__ if name in CASES]
    part["unchecked"] = sorted(set(package.__all__) - set(names) - {"kernels_for"})
    with torch.inference_mode():
        for name in names:
            _check(bench, part, name)


def _check(bench: Bench, part: Part, name: str) -> None:
    found: dict[str, Any] = {"compared": 0, "worst": 0.0}
    part.setdefault("found", {})[name] = found
    function = getattr(package, name)
    try:
        for one in _comparisons(bench, name, function):
            found["compared"] += 1
            error = one.error()
            found["worst"] = max(found["worst"], error / one.bound if error == error else 1e9)
    except Exception as error:  # others may work
        found["error"] = f"{type(error).__name__}: {error}"
    passed = "error" not in found and found["compared"] > 0 and found["worst"] <= 1.0
    part.gate(name, passed, worst=found["worst"])


def _comparisons(bench: Bench, name: str, function: object) -> Iterator[Compared]:
    for seed in range(_SEEDS if bench.is_cuda else 1):
        for one in CASES[name](function, Draw(bench.device, seed)):
            yield one
            _poison(bench.device)


def _poison(device: torch.device) -> None:
    if device.type == "cuda":
        full = [torch.full((size,), torch.nan, device=device) for size in _POISONED]
        del full
