"""Biases that depend on distances alone, and the blocks of queries that they are made for."""

from torch import Tensor


def bias_line(relative: Tensor, distances: Tensor) -> Tensor:
    """The biases `[H,*]` of `distances [*]`, of a table `relative [H,2 furthest + 1]`.

    All distances of `furthest` or more on one side have one bias.
    """
    furthest = relative.shape[1] // 2
    return relative[:, distances.clamp(-furthest, furthest) + furthest]


def diagonals(line: Tensor, keys: int) -> Tensor:
    """What each query sees of a `line [*,queries + keys - 1]` by distance: `[*,queries,keys]`.

    Scores of one diagonal have one distance, and the last query sees the line's beginning.
    """
    return line.unfold(-1, keys, 1).flip(-2)


def query_blocks(width: int, size: int) -> list[slice]:
    """Slices of `width` positions, of at most so many, but of 1 at least."""
    size = max(1, size)
    return [slice(first, min(first + size, width)) for first in range(0, width, size)]
