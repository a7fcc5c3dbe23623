"""What a decoder step does beside products; each function is one kernel's worth of work."""

from engine.runtime.sessions.torch.kernels.plain import (
    attend,
    choose,
    copy_rows,
    logits_into,
    read,
    relative_bias,
    select,
    write,
)

__all__ = [
    "attend",
    "choose",
    "copy_rows",
    "logits_into",
    "read",
    "relative_bias",
    "select",
    "write",
]
