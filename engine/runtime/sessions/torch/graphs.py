"""A lane's work as CUDA graphs, one for each size: a launch costs some 5 us, a step has hundreds.

Captured before the first request (developer.nvidia.com/blog/cuda-graphs).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from engine.runtime.sessions.torch.device import TorchDevice

Work = Callable[[int, int], None]

_ROWS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_SHORTEST = 64
_WARM_UPS = 2
"""cuBLAS picks kernels and makes workspaces in first runs, which can't be captured."""


def row_sizes(capacity: int) -> list[int]:
    """How many rows graphs are captured for, ascending; the last is `capacity`."""
    return [*(rows for rows in _ROWS if rows < capacity), capacity]


def width_sizes(longest: int) -> list[int]:
    """How many positions of caches graphs read, ascending; the last is `longest`."""
    sizes = [min(_SHORTEST, longest)]
    while sizes[-1] < longest:
        sizes.append(min(2 * sizes[-1], longest))
    return sizes


class WorkGraphs:
    """Replays `work` of one of some `sizes`, which reads and writes the same addresses each time.

    `rest` makes it ready for runs that warm up, of which nothing may stay but in memory that is
    cleared before rows come.  All graphs of a `pool` share the memory of what is between: one runs
    at a time, and its outputs lie elsewhere.
    """

    def __init__(
        self,
        work: Work,
        sizes: Iterable[tuple[int, int]],
        rest: Callable[[], None],
        device: TorchDevice,
        pool: Any,
    ) -> None:
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        self._fitting: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        # The largest first: the others find room in its memory.
        for size in sorted(sizes, reverse=True):
            for _ in range(_WARM_UPS):
                rest()
                work(*size)
            device.wait()
            graph = torch.cuda.CUDAGraph()
            # What other lanes do meanwhile is no error of this capture.  `torch.cuda.graph` would
            # collect garbage before each, and hide an error of `work` behind its own.
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            work(*size)
            graph.capture_end()
            self._graphs[size] = graph

    def __len__(self) -> int:
        return len(self._graphs)

    def __call__(self, first: int, second: int) -> None:
        """The work of the smallest size that has so much of both, above all of the first."""
        graph = self._fitting.get((first, second))
        if graph is None:
            sizes = (size for size in self._graphs if size[0] >= first and size[1] >= second)
            graph = self._fitting[first, second] = self._graphs[min(sizes)]
        graph.replay()
