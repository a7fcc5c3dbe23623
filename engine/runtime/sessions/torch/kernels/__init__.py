"""What a decoder step does beside products; each function is one kernel's worth of work.

On a GPU those of `fused` run where Triton's language does, else those of `plain`, which has the
contracts.
"""

import logging
from collections.abc import Callable
from functools import cache, wraps
from importlib.util import find_spec
from types import ModuleType
from typing import ParamSpec, TypeVar

import torch

from engine.runtime.sessions.torch.kernels import plain
from engine.runtime.sessions.torch.kernels.plain import (
    logits_into,
    read,
    weigh,
    write,
)

__all__ = [
    "attend",
    "attend_own",
    "choose",
    "copy_rows",
    "int8_product",
    "join_beams",
    "logits_into",
    "read",
    "residual",
    "select",
    "weigh",
    "write",
]

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def kernels_for(device: torch.device) -> ModuleType:
    """The kernels that tensors on a device go to."""
    return _kernels_of_gpu(device) if device.type == "cuda" else plain


@cache
def _kernels_of_gpu(device: torch.device) -> ModuleType:
    """Those in Triton's language, if a first one compiles: that takes a C compiler."""
    if find_spec("triton") is None:
        log.warning("Triton's language is not installed: steps on %s take longer.", device)
        return plain
    from engine.runtime.sessions.torch.kernels import fused

    try:
        fused.choose(torch.zeros(1, 1, device=device))
    except Exception as error:
        log.warning("Triton's language does not work (%s): steps on %s take longer.", error, device)
        return plain
    return fused


def _picked(function: Callable[P, R]) -> Callable[P, R]:
    """Has the first tensor's device say which function of that name is called."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        first = args[0]
        assert isinstance(first, torch.Tensor)
        chosen: Callable[P, R] = getattr(kernels_for(first.device), function.__name__)
        return chosen(*args, **kwargs)

    return run


attend = _picked(plain.attend)
attend_own = _picked(plain.attend_own)
residual = _picked(plain.residual)
select = _picked(plain.select)
choose = _picked(plain.choose)
join_beams = _picked(plain.join_beams)
copy_rows = _picked(plain.copy_rows)
int8_product = _picked(plain.int8_product)
