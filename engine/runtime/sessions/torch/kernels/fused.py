"""The kernels in Triton's language, by the names of those in `plain` that they stand for."""

from engine.runtime.sessions.torch.kernels.attention import attend, attend_own
from engine.runtime.sessions.torch.kernels.beams import join_beams
from engine.runtime.sessions.torch.kernels.moves import copy_rows
from engine.runtime.sessions.torch.kernels.norm import residual
from engine.runtime.sessions.torch.kernels.products import int8_product
from engine.runtime.sessions.torch.kernels.selection import choose, select

__all__ = [
    "attend",
    "attend_own",
    "choose",
    "copy_rows",
    "int8_product",
    "join_beams",
    "residual",
    "select",
]
