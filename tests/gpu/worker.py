"""The process that does phases: `python -m tests.gpu.worker --device cpu ... NAME ...`."""

import argparse
import gc
import importlib
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.gpu.part import Part
from tests.gpu.phases.bench import Bench
from tests.gpu.schedule import FUNCTIONS


def work(names: Sequence[str], bench: Bench, parts: Path) -> None:
    """Does phases in turn until one fails: after an error of a GPU nothing works in a process."""
    for name in names:
        part, begin = Part(parts / f"{name}.json"), time.monotonic()
        try:
            _function(name)(bench, part)
        except Exception as error:
            part["error"] = f"{type(error).__name__}: {error}"
            part["trace"] = traceback.format_exc().splitlines()[-8:]
            traceback.print_exc()
        part["seconds"] = round(time.monotonic() - begin, 2)
        part.save()
        if "error" in part:
            return
        _release(bench)


def _function(name: str) -> Callable[[Bench, Part], None]:
    module, _, function = FUNCTIONS[name].partition(":")
    found: Callable[[Bench, Part], None] = getattr(importlib.import_module(module), function)
    return found


def _release(bench: Bench) -> None:
    """Gives the device's memory back to phases that come."""
    import torch

    gc.collect()
    if bench.is_cuda and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def main(given: list[str] | None = None) -> int:
    """Does the phases that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    for name in ("variant", "out", "scratch", "parts"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("names", nargs="+", choices=FUNCTIONS)
    asked = parser.parse_args(given)
    bench = Bench(asked.device, asked.variant, asked.out, asked.scratch)
    work(asked.names, bench, asked.parts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
