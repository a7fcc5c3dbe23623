"""What a device tells the host, in one copy."""

from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.runtime.sessions.torch.device import TorchDevice

_ALIGNED = 8
"""Bytes of the largest number, at a multiple of which records begin."""


class Records:
    """Arrays `[count,columns]` of several types that lie on a device record by record.

    `fields` has the type and columns of each, those of 8 bytes a number first.  `records[name]` is
    an array on the device, where it stays; what the host knows is in a `ToldRecords`.
    """

    def __init__(
        self, fields: Mapping[str, tuple[torch.dtype, int]], count: int, device: TorchDevice
    ) -> None:
        sizes = [dtype.itemsize * columns for dtype, columns in fields.values()]
        size = -(-sum(sizes) // _ALIGNED) * _ALIGNED
        self.bytes = torch.zeros(count, size, dtype=torch.uint8, device=device.device)
        self._ends = list(accumulate(sizes, initial=0))
        self._types = {name: dtype for name, (dtype, _) in fields.items()}
        self._arrays = self.views(self.bytes)

    def __getitem__(self, name: str) -> Tensor:
        """An array on the device."""
        return self._arrays[name]

    def views(self, records: Tensor) -> dict[str, Tensor]:
        """The arrays in bytes that are laid out like these."""
        parts = zip(self._types.items(), pairwise(self._ends), strict=True)
        return {name: records[:, slice(*part)].view(dtype) for (name, dtype), part in parts}


class ToldRecords:
    """The host's copy of `records`: `told[name]` is an array, once a `download` is done."""

    def __init__(self, records: Records, device: TorchDevice) -> None:
        self._records = records
        self._bytes = device.pinned(torch.zeros(records.bytes.shape, dtype=torch.uint8))
        self._arrays: dict[str, NDArray[Any]] = {
            name: view.numpy() for name, view in records.views(self._bytes).items()
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        """An array on the host."""
        return self._arrays[name]

    def download(self, count: int) -> None:
        """Begins to copy the first records from the device."""
        self._bytes[:count].copy_(self._records.bytes[:count], non_blocking=True)
