"""`python -m tests.monitoring.odd_worker ARGUMENTS OF CELERY`: a worker as its machine may make it.

`ODD_CLOCK` names a file with the seconds that the machine's clock is ahead, read each time that
somebody asks; `ODD_HASTE=1` takes away the pauses between attempts at a Redis that refuses.
"""

import datetime
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_REAL = time.time
_DATETIME = datetime.datetime


def _ahead() -> float:
    return float(Path(os.environ["ODD_CLOCK"]).read_text() or 0)


def _set_clock() -> None:
    class Datetime(_DATETIME):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    now: Callable[[], float] = lambda: _REAL() + _ahead()  # noqa: E731
    time.time = now
    time.time_ns = lambda: int(now() * 1e9)
    datetime.datetime = Datetime  # type: ignore[misc]


def main() -> None:
    if "ODD_CLOCK" in os.environ:
        _set_clock()
    from celery.bin.celery import main as celery

    if os.environ.get("ODD_HASTE"):
        from billiard.common import restart_state

        from workers import consumer

        consumer._LONGEST_PAUSE = 0.0
        restart_state.step = lambda *_: None
    sys.argv[0] = "celery"
    celery()


if __name__ == "__main__":
    main()
