"""Other systems with the same load: random weights of a shape, answers of a fixed length."""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import torch

from tests.gpu.part import Part
from tests.gpu.peers.ctranslate2_random import open_translator
from tests.gpu.peers.transformers_random import open_model
from tests.gpu.phases.bench import Bench

SystemRun = Callable[[], None]


def ctranslate2(bench: Bench, part: Part) -> None:
    """In FP16 on a GPU, where cuBLAS of CUDA 12 must be found, or what stands for it."""
    if importlib.util.find_spec("ctranslate2") is None:
        part["absent"] = "ctranslate2 is not installed"
        return
    import ctranslate2 as package

    part["version"] = package.__version__
    part["gpus"] = package.get_cuda_device_count()
    part.save()
    _time(bench, part, open_translator(bench.size.shape, bench.device, bench.size.tokens))


def transformers_eager(bench: Bench, part: Part) -> None:
    """As `generate` runs without any option."""
    _transformers(bench, part)


def transformers_static(bench: Bench, part: Part) -> None:
    """With a static cache, not compiled."""
    _transformers(bench, part, cache_implementation="static", disable_compile=True)


def transformers_compiled(bench: Bench, part: Part) -> None:
    """With a static cache, and the step compiled, which `generate` does by itself on a GPU."""
    _transformers(bench, part, cache_implementation="static")


def _transformers(bench: Bench, part: Part, **options: Any) -> None:
    dtype = torch.float16 if bench.is_cuda else torch.float32
    size = bench.size
    _time(bench, part, open_model(size.shape, bench.device, dtype, size.tokens, options))


def _time(bench: Bench, part: Part, of: Callable[[int], SystemRun]) -> None:
    """Tokens a second of the better of two runs: what comes before them compiles and warms up."""
    for rows in bench.size.peer_rows:
        run, taken = of(rows), []
        begin = time.perf_counter()
        run()
        bench.wait()
        first = time.perf_counter() - begin
        for _ in range(2):
            begin = time.perf_counter()
            run()
            bench.wait()
            taken.append(time.perf_counter() - begin)
        speed = rows * bench.size.tokens / min(taken)
        part[str(rows)] = {"tokens_per_second": speed, "first_seconds": first}
        part.save()
