"""How many processors this process may use."""

import math
import os
from pathlib import Path

# Version 2 of control groups, as a process in a container sees its own.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = _QUOTA) -> int:
    """Those that it may run on, and no more than its control group pays for; 1 or more.

    A container with a limit of 4 on a machine with 64 would else get 64 lanes, which stop each
    other whenever the quota of a period is used up.
    """
    cores = len(os.sched_getaffinity(0))
    try:
        allowed, period = quota.read_text().split()
    except (OSError, ValueError):
        return cores
    if allowed == "max":
        return cores
    return max(1, min(cores, math.ceil(int(allowed) / int(period))))
