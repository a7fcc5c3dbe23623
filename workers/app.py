"""The Celery app: `celery -A workers.app worker -Q seqway.chunks`, and `-Q seqway.control`."""

import os
import socket
import sys
from functools import partial
from typing import Any

import structlog
from celery import bootsteps, signals

from services.foundation.environment import InvalidSettingsError, read_settings
from services.foundation.proxies import bypass_proxies_on_loopback
from services.inference.errors import ServiceUnavailableError
from services.jobs.errors import QueueUnavailableError
from services.jobs.queue.board import Board, Ticket
from services.jobs.queue.messages import (
    CHUNK_QUEUE,
    CHUNK_TASK,
    CONTROL_QUEUE,
    FINISH_TASK,
    celery_app,
)
from workers import descriptors
from workers.components import Components
from workers.consumer import SteadyConsumer
from workers.monitoring.monitor import Monitoring
from workers.reconciler_thread import ReconcilerThread
from workers.settings import WorkerSettings
from workers.telemetry import forks, observe, sender_of, tell_failures

logger = structlog.get_logger(__name__)

_RECONCILE_TASK = "seqway.reconcile"
_ALIVE_SECONDS = 15.0
_ALIVE_INTERVAL = 5.0


def _settings() -> WorkerSettings:
    try:
        settings = read_settings(WorkerSettings)
        if settings.inference.triton_certificates is not None:
            settings.inference.triton_certificates.check()
    except InvalidSettingsError as error:
        sys.exit(f"seqway worker: {error}")
    if not settings.jobs.job_store:
        sys.exit("seqway worker: SEQWAY_JOB_STORE is not set: name the store of the jobs")
    return settings


bypass_proxies_on_loopback()
settings = _settings()
app = celery_app(settings.jobs)
app.conf.update(
    worker_soft_shutdown_timeout=settings.process.worker_soft_shutdown,
    worker_enable_soft_shutdown_on_idle=False,
)
observe(settings)
components = Components(app, settings)
monitoring = Monitoring(settings)
app.conf.worker_consumer = partial(SteadyConsumer, monitoring.liveness)


@app.task(name=CHUNK_TASK)  # type: ignore[untyped-decorator]
@tell_failures
def run_chunk(job: str, run: int, chunk: int) -> None:
    """Runs a chunk, and wakes up whoever is next."""
    with (
        structlog.contextvars.bound_contextvars(job_id=job, run=run, chunk=chunk),
        sender_of(run_chunk.request),
    ):
        may_have_ended = components.runner.run(Ticket(job, run, chunk))
    descriptors.end_child_without()
    try:
        if may_have_ended:
            components.queue.finish_job(job)
        components.feeder.feed()
    except QueueUnavailableError as error:
        logger.warning("the next step is left to the reconciler", error=str(error))


@app.task(name=FINISH_TASK)  # type: ignore[untyped-decorator]
@tell_failures
def finish_job(job: str) -> None:
    """Ends a job if nothing of it is left to do."""
    with structlog.contextvars.bound_contextvars(job_id=job), sender_of(finish_job.request):
        try:
            run = components.archive.current(job)
            if run is not None:
                components.finisher.finish(run)
        except ServiceUnavailableError as error:
            logger.warning("a job could not be ended now", error=str(error))


@app.task(name=_RECONCILE_TASK)  # type: ignore[untyped-decorator]
@tell_failures
def reconcile() -> None:
    """Looks for all that was lost; one look at a time in a process."""
    if not components.lock.acquire(blocking=False):
        return
    try:
        components.reconciler.reconcile()
    except ServiceUnavailableError as error:
        logger.warning("a look was cut short", error=str(error))
    finally:
        components.lock.release()


reconciler_thread = ReconcilerThread(reconcile.run, settings.jobs.reconcile_interval)


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def give_way(sender: Any, **_: Any) -> None:
    """Before the pool forks, so that its processes give way and count too."""
    queues = sender.app.amqp.queues.consume_from
    if CONTROL_QUEUE in queues and forks(sender):
        sys.exit("seqway worker: a worker that consumes seqway.control needs --pool threads")
    os.nice(settings.process.worker_nice)
    components.observer = monitoring.start(queues)
    if CONTROL_QUEUE in queues:
        monitoring.liveness.needs(reconciler_thread.lives)
        reconciler_thread.start()


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def stop(**_: Any) -> None:
    """From now on the process need not consume."""
    monitoring.liveness.leaves()


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
def stop_looking(**_: Any) -> None:
    """A look that has begun gets its time, as chunks do."""
    reconciler_thread.stop(settings.process.worker_soft_shutdown)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def leave(**_: Any) -> None:
    """In each process of the pool."""
    monitoring.leave()


class ConsumerHeartbeat(bootsteps.StartStopStep):  # type: ignore[misc]
    """Tells Redis from within the consumer's loop that the process consumes.

    `inspect ping` answers in workers that have stopped to consume (airflow#63580).
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:
        queues = consumer.app.amqp.queues.consume_from
        self._role = "worker" if CHUNK_QUEUE in queues else "controller"
        self._board = Board(settings.jobs.redis_address, settings.jobs.redis_timeout, {})
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begins to tell, each time that the consumer has connected."""
        self._tell()
        self._timer = consumer.timer.call_repeatedly(_ALIVE_INTERVAL, self._tell)

    def stop(self, _consumer: Any) -> None:
        """Stops telling, since the connection is lost or the process ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        monitoring.liveness.consumes()
        try:
            self._board.live(self._role, socket.gethostname(), os.getpid(), _ALIVE_SECONDS)
        except QueueUnavailableError as error:
            logger.warning("this process could not report that it is alive", error=str(error))


app.steps["consumer"].add(ConsumerHeartbeat)
