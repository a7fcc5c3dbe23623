# Generated from ../aio/job_streams.py by `make client`.

"""Streams of a job that outlive a server: they are opened again where they broke."""

from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, Self, TypeVar

from seqway.errors import SeqwayError
from seqway.sync.calls import Calls
from seqway.sync.channel import Cancellation, Responses
from seqway.transport.method import Method
from seqway.transport.retries import Reconnection
from seqway.v1 import job_pb2 as pb

Item = TypeVar("Item")


class JobStream(Generic[Item]):
    """Iterates over a job's updates or results, and resumes when a server is replaced.

    `UnavailableError` is raised when no server has answered for as long as the call's `patience`.
    `resume_token` starts another stream behind the last message that was read whole.
    """

    def __init__(
        self,
        calls: Calls,
        method: Method[Any, Any, list[Item]],
        request: pb.WatchJobRequest | pb.ReadResultsRequest,
        timeout: float | None,
        patience: float,
    ) -> None:
        self._calls = calls
        self._method = method
        self._request = request
        self._reconnection = Reconnection(request, timeout, patience)
        self._items: deque[Item] = deque()
        self._resume_token = request.resume_token
        self._responses: Responses[Any] | None = None
        self._cancelled = Cancellation()

    @property
    def resume_token(self) -> str:
        """Resumes behind the last message that was read whole."""
        return self._reconnection.token if not self._items else self._resume_token

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        while not self._items:
            self._resume_token = self._reconnection.token
            self._receive()
        return self._items.popleft()

    def _receive(self) -> None:
        """One message, or the pause after a transient failure."""
        if self._cancelled.is_set():
            raise StopIteration
        try:
            response = next(self._opened())
        except SeqwayError as error:
            self._responses = None
            if self._cancelled.is_set():
                raise StopIteration from None
            self._cancelled.wait(self._reconnection.pause_after(error))
            return
        except StopIteration:
            raise
        except BaseException:  # an interrupt
            self.cancel()
            raise
        self._items.extend(self._method.result(response))
        self._reconnection.received(response)

    def _opened(self) -> Responses[Any]:
        if self._responses is None:
            remaining = self._reconnection.remaining()
            self._responses = self._calls.open(self._method, self._request, remaining)
            if self._cancelled.is_set():  # meanwhile, by another thread
                self._responses.cancel()
        return self._responses

    def cancel(self) -> None:
        """Ends the stream; the job continues."""
        self._cancelled.set()
        responses = self._responses
        if responses is not None:
            responses.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
