"""What a process does that has run out of file descriptors: it ends, and is started again.

It would not get well by itself, and everything that it tries looks like a fault of others: Redis
and the store that do not answer.
"""

import errno
import os

import structlog
from billiard.process import current_process
from celery.exceptions import WorkerTerminate

logger = structlog.get_logger(__name__)

_EXHAUSTED = (errno.EMFILE, errno.ENFILE)


def end_without(error: BaseException) -> None:
    """Ends a worker's parent process if the error comes from that, however it was wrapped."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _EXHAUSTED:
            logger.critical("the process is out of file descriptors and exits")
            raise WorkerTerminate(1) from error
        cause = cause.__cause__ or cause.__context__


def end_child_without() -> None:
    """Ends a process of a pool that can open nothing more; Celery replaces it."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno in _EXHAUSTED and hasattr(current_process(), "index"):
            logger.critical("a process of the pool is out of file descriptors and exits")
            os._exit(1)
