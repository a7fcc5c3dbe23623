"""Where `seqway-models` begins: Ctrl-C ends it also while PyTorch is being loaded, for seconds."""

import os
import signal
from types import FrameType


def main() -> None:
    """Runs the command line."""
    handler = signal.getsignal(signal.SIGINT)
    if handler == signal.default_int_handler:  # not where it is ignored
        signal.signal(signal.SIGINT, _end)
    from engine.cli import app

    signal.signal(signal.SIGINT, handler)
    app(prog_name="seqway-models")


def _end(_number: int, _frame: FrameType | None) -> None:
    """Nothing was begun: libraries that are half loaded need not be unwound, and could not be."""
    os.write(2, b"Aborted!\n")
    os._exit(128 + signal.SIGINT)
