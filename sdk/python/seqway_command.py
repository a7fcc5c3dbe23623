"""Where the command `seqway` begins: Ctrl-C ends it also while its libraries are being loaded.

Not in the package, which loads them all, and which must not touch its users' signals.
"""

import os
import signal
from types import FrameType


def main() -> None:
    """Runs the command line."""
    handler = signal.getsignal(signal.SIGINT)
    if handler == signal.default_int_handler:  # not where it is ignored
        signal.signal(signal.SIGINT, _end)
    from seqway.cli import app

    signal.signal(signal.SIGINT, handler)
    app(prog_name="seqway")


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"Aborted!\n")
    os._exit(128 + signal.SIGINT)
