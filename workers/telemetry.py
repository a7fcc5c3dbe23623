"""Logs and traces of Celery's processes, set up as each of them begins."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import celery.concurrency
import structlog
from celery import signals
from celery.concurrency.prefork import TaskPool
from opentelemetry import context

from services.foundation import logs, tracing
from services.foundation.endings import ENDINGS
from services.inference.tracing import context_of
from services.jobs.queue.messages import CHUNK_QUEUE
from workers.settings import WorkerSettings

logger = structlog.get_logger(__name__)

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


class TaskFailedError(Exception):
    """A task failed unexpectedly; the line before says where."""


def observe(settings: WorkerSettings) -> None:
    """Has every process of this worker log and trace; to be called before it starts.

    Processes that are forked trace by themselves: an exporter's thread does not survive a fork.
    Pools of threads run their tasks in the process that was started.
    """

    def configure_logs(**_: Any) -> None:
        logs.configure(settings.logs)

    def start(sender: Any, **_: Any) -> None:
        if not forks(sender):
            tracing.start(_service(sender.app.amqp.queues.consume_from))

    def start_forked(**_: Any) -> None:
        tracing.start("seqway-worker")

    def stop(**_: Any) -> None:
        tracing.stop()

    # Who listens to this one keeps Celery from setting up logs of its own.
    signals.setup_logging.connect(configure_logs, weak=False)
    signals.worker_init.connect(start, weak=False)
    signals.worker_process_init.connect(start_forked, weak=False)
    signals.worker_process_shutdown.connect(stop, weak=False)
    signals.worker_shutdown.connect(stop, weak=False)


def forks(worker: Any) -> bool:
    """Whether a worker runs its tasks in processes that it forks."""
    return issubclass(celery.concurrency.get_implementation(worker.pool_cls), TaskPool)


@contextmanager
def sender_of(request: Any) -> Iterator[None]:
    """Makes the span of whoever sent a task's message the current one."""
    token = context.attach(context_of(request.get("traceparent") or ""))
    try:
        yield
    finally:
        context.detach(token)


def tell_failures(task: Callable[_Arguments, _Answer]) -> Callable[_Arguments, _Answer]:
    """Has a task that fails log it without the exception's words, which may quote a text.

    Celery logs what a task raises with its words, so it gets another exception: TaskFailedError.
    """

    @wraps(task)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answer:
        try:
            return task(*args, **kwargs)
        except ENDINGS:
            raise
        except BaseException as error:  # Celery ends its process for what is no Exception
            logger.exception("a task failed unexpectedly")
            raise TaskFailedError(type(error).__name__) from None

    return run


def _service(queues: Any) -> str:
    return "seqway-worker" if CHUNK_QUEUE in queues else "seqway-controller"
