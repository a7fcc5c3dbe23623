"""SIGINT and SIGTERM at moments when a half-done step would leak a process."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def exit_on_sigterm() -> None:
    """Makes SIGTERM unwind the stack as SIGINT does, so that `finally` blocks run."""
    signal.signal(signal.SIGTERM, _raise_exit)


def end_quietly() -> Callable[[int, FrameType | None], Any] | int | None:
    """Has SIGINT end the process by a line, as long as nothing was begun; returns what was."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.default_int_handler:  # not where it is ignored
        signal.signal(signal.SIGINT, _end)
    return before


def _end(signum: int, _frame: FrameType | None) -> None:
    os.write(2, b"seqway: interrupted\n")
    os._exit(128 + signum)


def _raise_exit(signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Holds signals back until the end of the block; they act then.

    Only the main thread gets signals: in another one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    previous = {
        number: signal.signal(number, lambda signum, _frame: arrived.append(signum))
        for number in _SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])
