"""Where `seqway-keys` begins: Ctrl-C ends it also while its libraries are being loaded."""

import os
import signal
from types import FrameType


def main() -> None:
    """Runs the command line."""
    handler = signal.getsignal(signal.SIGINT)
    if handler == signal.default_int_handler:  # not where it is ignored
        signal.signal(signal.SIGINT, _end)
    from services.gateway.authentication.command import app

    signal.signal(signal.SIGINT, handler)
    app(prog_name="seqway-keys")


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"Aborted!\n")
    os._exit(128 + signal.SIGINT)
