"""The most bytes that tensors held at once while something was computed."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class TensorPeak(TorchDispatchMode):
    """Counts the storages that are made within; `most` is their largest sum."""

    def __init__(self) -> None:
        super().__init__()
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._now = 0
        self.most = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        inputs = {_storage(one)._cdata for one in tree_leaves((args, kwargs)) if _is_tensor(one)}
        for one in tree_leaves(made):
            if _is_tensor(one) and _storage(one)._cdata not in inputs:
                self._add(_storage(one))
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:
            return

        def gone(_: object) -> None:
            self._now -= size
            del self._alive[key]

        self._alive[key] = weakref.ref(storage, gone)
        self._now += size
        self.most = max(self.most, self._now)


def _is_tensor(one: object) -> bool:
    return isinstance(one, Tensor)


def _storage(one: Tensor) -> torch.UntypedStorage:
    return one.untyped_storage()
