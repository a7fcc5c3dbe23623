"""A decoder step as CUDA graphs, one for each size: a launch costs some 5 us, a step has hundreds.

Captured before the first request (developer.nvidia.com/blog/cuda-graphs).
"""

from collections.abc import Callable, Iterator
from itertools import product

import torch

from engine.runtime.sessions.torch.device import TorchDevice

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


class StepGraphs:
    """Replays `work(rows, width)`, which reads and writes the same addresses each time.

    `rest` makes it ready for runs that warm up, of which nothing may stay but in memory that is
    cleared before rows come.  All graphs share the memory of what is between: one runs at a time,
    and its outputs lie elsewhere.
    """

    def __init__(
        self,
        work: Callable[[int, int], None],
        rest: Callable[[], None],
        capacity: int,
        longest: int,
        device: TorchDevice,
    ) -> None:
        self._rows, self._widths = row_sizes(capacity), width_sizes(longest)
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        pool = torch.cuda.graph_pool_handle()
        # The largest first: the others find room in its memory.
        for rows, width in self._sizes():
            for _ in range(_WARM_UPS):
                rest()
                work(rows, width)
            device.wait()
            graph = torch.cuda.CUDAGraph()
            # What other lanes do meanwhile is no error of this capture.  `torch.cuda.graph` would
            # collect garbage before each, and hide an error of `work` behind its own.
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            work(rows, width)
            graph.capture_end()
            self._graphs[rows, width] = graph

    def _sizes(self) -> Iterator[tuple[int, int]]:
        yield from product(reversed(self._rows), reversed(self._widths))

    def __len__(self) -> int:
        return len(self._graphs)

    def run(self, rows: int, width: int) -> None:
        """One step of `rows` rows at least, which reads `width` positions at least."""
        size = next(one for one in self._rows if one >= rows)
        longest = next(one for one in self._widths if one >= width)
        self._graphs[size, longest].replay()
