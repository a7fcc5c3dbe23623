"""The messages between processes: wake-ups with ids only, and who sent them, over Celery.

What is known to lose or repeat messages, and why each setting is what it is, is in
docs/reasons.md.  Nothing depends on a message: the store and the reconciler do.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import kombu.exceptions
import redis
from celery import Celery

from services.inference.tracing import traceparent_of
from services.jobs.errors import QueueUnavailableError
from services.jobs.queue.board import Board, Ticket
from services.jobs.settings import JobSettings

CHUNK_QUEUE = "seqway.chunks"
CONTROL_QUEUE = "seqway.control"
CHUNK_TASK = "seqway.run_chunk"
FINISH_TASK = "seqway.finish_job"
BROKER_CONNECTIONS = 4

# A consumer's socket is silent while it waits for messages.
_CONSUMER_SECONDS = 30.0
_CONNECTION_SECONDS = 4.0
# The header that names the chunk of a message.
_TICKET = "ticket"
_NONE: Mapping[str, str] = {}
# Far more than there are chunks out, so some that nobody asked for are there.
_LOOKED_AT = 10_000


def celery_app(settings: JobSettings, patience: float | None = None) -> Celery:
    """An app over the Redis of the settings; workers register their tasks on it.

    One that only sends has `patience`: seconds that it waits for Redis at each step.
    """
    app = Celery("seqway", broker=settings.redis_address, set_as_current=False)
    timeout = settings.redis_timeout if patience is None else patience
    # Counts from delivery, so a chunk that waits out Triton must fit; the reconciler is quicker.
    visibility = 4 * (settings.chunk_timeout + settings.chunk_patience)
    app.conf.update(
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        # A Redis at its maxmemory would end the worker.
        broker_channel_error_retry=True,
        broker_transport_options={
            "visibility_timeout": visibility,
            "socket_keepalive": True,
            "socket_connect_timeout": timeout,
            "socket_timeout": max(_CONSUMER_SECONDS, timeout) if patience is None else patience,
            "health_check_interval": 25,
            "retry_on_timeout": False,
            # Who sends hears at once that there is no connection; the consumer tries for ever.
            "max_retries": 0,
        },
        visibility_timeout=visibility,
        result_backend_transport_options={"visibility_timeout": visibility},
        broker_pool_limit=BROKER_CONNECTIONS,
        # For how long kombu connects again when it could not.
        broker_connection_timeout=_CONNECTION_SECONDS if patience is None else patience,
        task_acks_late=True,
        task_ignore_result=True,
        # Without this a killed child's message is acknowledged; the lease runs out all the same.
        task_reject_on_worker_lost=False,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=CONTROL_QUEUE,
        task_routes={CHUNK_TASK: {"queue": CHUNK_QUEUE}},
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_max_tasks_per_child=500,
        enable_utc=True,
    )
    return app


class Queue:
    """Sends wake-ups; raises QueueUnavailableError, and never hangs."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def run_chunk(self, ticket: Ticket) -> None:
        """Asks a worker to run a chunk."""
        named = {_TICKET: str(ticket)}
        self._send(CHUNK_TASK, CHUNK_QUEUE, ticket.job, ticket.run, ticket.chunk, headers=named)

    def waiting(self, board: Board) -> set[Ticket] | None:
        """The chunks whose message no worker has taken yet; None when there are too many."""
        messages = board.messages(CHUNK_QUEUE, _LOOKED_AT + 1)
        if len(messages) > _LOOKED_AT:
            return None
        return {ticket for each in messages if (ticket := _ticket_of(each)) is not None}

    def finish_job(self, job: str) -> None:
        """Asks a controller to see whether a job has ended."""
        self._send(FINISH_TASK, CONTROL_QUEUE, job)

    def _send(
        self, task: str, queue: str, *arguments: str | int, headers: Mapping[str, str] = _NONE
    ) -> None:
        traceparent = traceparent_of()
        traced = {"traceparent": traceparent} if traceparent else {}
        with _faults():
            self._app.send_task(
                task,
                args=arguments,
                queue=queue,
                retry=False,
                ignore_result=True,
                headers={**headers, **traced},
            )


def _ticket_of(message: str) -> Ticket | None:
    """The chunk that a message names; None for one that is not ours, or of an older version."""
    try:
        return Ticket.parse(json.loads(message)["headers"][_TICKET])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (kombu.exceptions.KombuError, redis.RedisError, OSError) as error:
        kind = type(error).__name__
        raise QueueUnavailableError(
            f"Redis accepts no message ({kind})", retry_delay=5.0
        ) from error
