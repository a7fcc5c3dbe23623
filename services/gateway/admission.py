"""Bounds the calls in flight: more are refused before any work is done for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.gateway import metrics
from services.inference.errors import OverloadedError


class Admission:
    """Counts calls in; exact, because all of it happens on one event loop.

    `maximum_concurrent_rpcs` of gRPC had a counter underflow (grpc#41531) and gives no details.
    """

    def __init__(self, limit: int, retry_delay: float) -> None:
        self._limit = limit
        self._retry_delay = retry_delay
        self._in_flight = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Holds a place while a call runs, else OverloadedError."""
        if self._in_flight >= self._limit:
            raise OverloadedError(
                f"{self._limit} calls are in flight, which is the most",
                retry_delay=self._retry_delay,
            )
        self._in_flight += 1
        metrics.IN_FLIGHT.inc()
        try:
            yield
        finally:
            self._in_flight -= 1
            metrics.IN_FLIGHT.dec()
