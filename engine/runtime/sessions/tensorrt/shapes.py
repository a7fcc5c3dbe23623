"""The dynamic sizes of the graphs that plans are built from, and the buckets that they run in."""

from collections.abc import Sequence
from typing import NamedTuple

CACHE_POSITIONS, SOURCE_POSITIONS = "cache_positions", "source_positions"
"""Inputs of a decoder step that hold 0, 1, ...: their lengths tell how far memory is read."""


class Size(NamedTuple):
    """So many rows, positions of sources, and positions of caches."""

    rows: int
    width: int
    cached: int = 0

    def shape(self, name: str, dims: Sequence[int]) -> tuple[int, ...]:
        """The shape of an input or output whose declared dimensions are -1 where dynamic.

        Rows come first; any other dynamic dimension is of sources.
        """
        if name == CACHE_POSITIONS:
            return (self.cached,)
        if name == SOURCE_POSITIONS:
            return (self.width,)
        first, *others = dims
        rows = self.rows if first == -1 else first
        return (rows, *(self.width if size == -1 else size for size in others))


def buckets(largest: int, first: int) -> list[int]:
    """`first`, twice that, and so on; the last is `largest`."""
    sizes = [min(first, largest)]
    while sizes[-1] < largest:
        sizes.append(min(2 * sizes[-1], largest))
    return sizes


def bucket(sizes: Sequence[int], least: int) -> int:
    """The first of ascending `sizes` that is not below `least`; there has to be one."""
    return next(size for size in sizes if size >= least)
