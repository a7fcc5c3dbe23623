"""The consumer of Celery, mended where it meets a Redis that refuses."""

import time
from typing import Any

import redis
import structlog
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from workers import descriptors
from workers.monitoring.liveness import Liveness

logger = structlog.get_logger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# A connection that held for so long was a good one.
_GOOD_SECONDS = 10.0
# kombu's steps are whole seconds; its own longest one is 30 s.
_CONNECT_STEPS = {"interval_start": 1, "interval_step": 1, "interval_max": 3}


class SteadyConsumer(Consumer):  # type: ignore[misc]
    """Closes what it does not keep, tells that it still tries, and ends where trying is in vain.

    Its workers do not speak with each other (`mingle`, `gossip` and `heartbeat` of Celery), since
    nothing here needs it: each of these writes to Redis whenever the consumer connects.
    """

    def __init__(self, liveness: Liveness, *arguments: Any, **options: Any) -> None:
        self._liveness = liveness
        self._failures = 0
        self._failed = float("-inf")
        alone = {"without_mingle": True, "without_gossip": True, "without_heartbeat": True}
        given = options.pop("worker_options", None) or {}
        super().__init__(*arguments, worker_options={**given, **alone}, **options)

    def connect(self) -> Any:
        """A connection whose events the hub sees; nothing stays open when that fails.

        Celery loses such a connection: it has no name yet when Redis refuses the first command.
        """
        connection = self.connection_for_read(heartbeat=self.amqheartbeat)
        try:
            if self.hub:
                connection.transport.register_with_event_loop(connection.connection, self.hub)
        except BaseException:
            self._close(connection)
            raise
        return connection

    def ensure_connected(self, conn: Any) -> Any:
        """Tries until Redis answers."""

        def failed(error: Exception, seconds: float) -> None:
            descriptors.end_without(error)
            logger.warning("Redis does not answer", error=_named(error), next_try=seconds)

        try:
            conn.ensure_connection(failed, None, callback=self._still_tries, **_CONNECT_STEPS)
        except BaseException:
            self._close(conn)
            raise
        self.first_connection_attempt = False
        return conn

    def call_soon_ack(self, p: Any, *args: Any, **kwargs: Any) -> Any:
        """Acknowledges or rejects a message; what cannot be done costs the connection.

        Celery only logs it.  Then the message counts as under way for as long as the connection
        lasts, and with as many of them as there are processes nothing more is let in: a worker
        that waits for no message does not see that its connection is of no use.
        """
        message = p.__self__

        def settle(*arguments: Any, **options: Any) -> None:
            p(*arguments, **options)
            consumer = self.task_consumer
            is_ours = consumer is not None and message.channel is consumer.channel
            if is_ours and not message.acknowledged:
                raise redis.ConnectionError("a message could not be acknowledged")

        return super().call_soon_ack(settle, *args, **kwargs)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Waits a little: Redis took the connection and refuses what came next."""
        self._pause(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Closes the connection, and waits a little."""
        super().on_connection_error_after_connected(exc)
        self._pause(exc)

    def _close(self, connection: Any) -> None:
        try:
            connection.close()
        except Exception as error:
            logger.debug("a connection was not closed cleanly", error=_named(error))

    def _pause(self, error: Exception) -> None:
        descriptors.end_without(error)
        now = time.monotonic()
        self._failures = 0 if now - self._failed > _GOOD_SECONDS else self._failures + 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10))
        logger.warning("Redis rejects the consumer", error=_named(error), next_try=pause)
        time.sleep(pause)
        self._failed = time.monotonic()
        self._still_tries()

    def _still_tries(self) -> None:
        self._liveness.comes_round()
        maybe_shutdown()


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
