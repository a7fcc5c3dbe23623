"""Which cores or GPUs each group has."""

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.parallel.layout import Layout

VISIBLE = "CUDA_VISIBLE_DEVICES"


class LayoutError(ValueError):
    """A layout that this machine has no room for; the message says what to do."""


@dataclass(frozen=True)
class GroupPlace:
    """Where a group runs: one GPU for each rank, or cores that its ranks share.

    `gpus` are numbers of CUDA, as this process counts.
    """

    cores: tuple[int, ...] = ()
    gpus: tuple[int, ...] = ()


def places_of(layout: Layout, cores: Sequence[int], gpus: int) -> list[GroupPlace]:
    """A place for each group: on GPUs where there are any, else on an equal share of the cores.

    Raises:
        LayoutError: there are too few.

    """
    if gpus:
        if gpus < layout.ranks:
            raise LayoutError(
                f"the layout {layout} needs {layout.ranks} GPUs, and there are {gpus}: import the "
                "variant with a smaller --parallel, or give the container more GPUs."
            )
        size = layout.group
        return [
            GroupPlace(gpus=tuple(range(group * size, (group + 1) * size)))
            for group in range(layout.data)
        ]
    if len(cores) < layout.data:
        raise LayoutError(
            f"the layout {layout} needs a core for each of its {layout.data} groups, and there are "
            f"{len(cores)}: import the variant with a smaller --parallel."
        )
    # Neighbours, which share caches and memory; the first groups have one more where some are left.
    share, more = divmod(len(cores), layout.data)
    starts = [group * share + min(group, more) for group in range(layout.data + 1)]
    return [GroupPlace(cores=tuple(cores[start:end])) for start, end in pairwise(starts)]


def variables_of(place: GroupPlace, rank: int, layout: Layout) -> dict[str, str]:
    """What the environment of a rank's process says of its place.

    A rank sees its own GPU alone, as number 0, so that no library takes memory of another one.
    """
    if place.gpus:
        gpu = place.gpus[rank]
        visible = [one.strip() for one in os.environ.get(VISIBLE, "").split(",") if one.strip()]
        return {VISIBLE: visible[gpu] if visible else str(gpu)}
    if layout.group > 1:
        return {"OMP_NUM_THREADS": str(max(1, len(place.cores) // layout.group))}
    return {}


def count_gpus() -> int:
    """The GPUs that CUDA's driver lets this process use; 0 without a driver.

    Only the driver is asked, which makes no context: the front takes no memory of any GPU.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int()
        if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value
