"""How a lane's inbox calls back a session that makes several steps."""

import numpy as np


class Interrupt:
    """A flag that native code reads between two steps, `[1]` INT32."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, np.int32)

    def set(self) -> None:
        """Something waits."""
        self.flag[0] = 1

    def clear(self) -> None:
        """What waited is about to be read."""
        self.flag[0] = 0
