"""What a device tells the host, in one copy."""

from collections.abc import Mapping
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
    an array on the device, where it stays; `told[name]` is the host's, once `download` is done.
    """

    def __init__(
        self, fields: Mapping[str, tuple[torch.dtype, int]], count: int, device: TorchDevice
    ) -> None:
        sizes = [dtype.itemsize * columns for dtype, columns in fields.values()]
        size = -(-sum(sizes) // _ALIGNED) * _ALIGNED
        self._bytes = torch.zeros(count, size, dtype=torch.uint8, device=device.device)
        self._host = torch.zeros(count, size, dtype=torch.uint8)
        if device.is_cuda:
            self._host = self._host.pin_memory()
        self._arrays: dict[str, Tensor] = {}
        self.told: dict[str, NDArray[Any]] = {}
        first = 0
        for (name, (dtype, _)), width in zip(fields.items(), sizes, strict=True):
            part = slice(first, first + width)
            self._arrays[name] = self._bytes[:, part].view(dtype)
            self.told[name] = self._host[:, part].view(dtype).numpy()
            first += width

    def __getitem__(self, name: str) -> Tensor:
        """An array on the device."""
        return self._arrays[name]

    def download(self, count: int) -> None:
        """Begins to copy the first records to the host."""
        self._host[:count].copy_(self._bytes[:count], non_blocking=True)
