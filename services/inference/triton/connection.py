"""One life of a `ModelStreamInfer` stream, shared by many requests.

A task reads and a task writes, so that nobody who submits can ever be cancelled inside a gRPC write
(which would cancel the whole stream) and submitting needs no await.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

import grpc

from services.foundation.endings import ENDINGS
from services.inference.errors import ModelNotReadyError, ServiceError, TritonUnavailableError
from services.inference.rows.engine import Lost
from services.inference.triton import wire
from services.inference.triton.faults import error_of

logger = logging.getLogger(__name__)


class Receiver(Protocol):
    """Takes what comes back on a request."""

    def deliver(self, request_id: str, payload: bytes | None, final: bool) -> None:
        """A response: the JSON of its events, if it has some."""
        ...

    def lose(self, request_id: str, lost: Lost) -> None:
        """Nothing more will come."""
        ...


class TritonConnection:
    """Multiplexes requests by id over one stream; when that breaks, all its requests fail.

    `on_not_ready` is called when Triton has no such model, as it says when it shuts down, too.
    """

    def __init__(self, stub: Any, on_not_ready: Callable[[], None]) -> None:
        self._stub = stub
        self._on_not_ready = on_not_ready
        self._receivers: dict[str, Receiver] = {}
        self._outbox: asyncio.Queue[Any] = asyncio.Queue()
        self._closed = False
        self.opened = asyncio.get_running_loop().time()
        self._retired = False
        self._sent: set[str] = set()
        self._task = asyncio.create_task(self._run(), name="triton-stream")

    @property
    def closed(self) -> bool:
        """Whether the stream has ended; a closed connection takes no requests."""
        return self._closed

    @property
    def retired(self) -> bool:
        """Whether it is to take no more requests."""
        return self._retired

    @property
    def load(self) -> int:
        """Requests that are not answered in full."""
        return len(self._receivers)

    def send(self, request: Any, receiver: Receiver | None = None) -> None:
        """Sends a request; without a receiver what comes back is dropped."""
        if receiver is not None:
            self._receivers[request.id] = receiver
        self._outbox.put_nowait(request)

    def forget(self, request_id: str) -> None:
        """Drops what still comes back on a request."""
        self._receivers.pop(request_id, None)
        self._sent.discard(request_id)
        self._end_if_done()

    def retire(self) -> None:
        """Takes no more requests, and ends the stream behind the last that is open.

        Triton unloads no model, and does not exit, while a stream is open.
        """
        self._retired = True
        self._end_if_done()

    async def close(self) -> None:
        """Ends the stream; requests that are open fail."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _end_if_done(self) -> None:
        if self._retired and not self._receivers:
            self._task.cancel()

    async def _run(self) -> None:
        error = TritonUnavailableError("Triton closed the stream")
        call = self._stub.ModelStreamInfer()
        writer = asyncio.create_task(self._write(call), name="triton-stream-writer")
        try:
            while (response := await call.read()) is not grpc.aio.EOF:
                self._dispatch(response)
        except grpc.aio.AioRpcError as broken:
            error = TritonUnavailableError(f"Triton is not reachable: {broken.details()}")
        except asyncio.CancelledError:
            error = TritonUnavailableError("the connection to Triton is closed")
            raise
        finally:
            self._closed = True
            writer.cancel()
            await asyncio.wait([writer])
            call.cancel()
            self._fail_all(error)

    async def _write(self, call: Any) -> None:
        try:
            while True:
                request = await self._outbox.get()
                await call.write(request)
                if request.id in self._receivers:
                    self._sent.add(request.id)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            logger.debug("the stream broke while a request was written")
        except ENDINGS:
            raise
        except BaseException:
            logger.exception("a request could not be written")
            call.cancel()  # else the calls that wait for what was not written would wait for ever

    def _dispatch(self, message: Any) -> None:
        response = message.infer_response
        request_id = response.id
        if message.error_message:
            self._refuse(request_id, message.error_message)
            return
        final = wire.is_final(response)
        receiver = self._receivers.get(request_id)
        if final:
            self.forget(request_id)
        if receiver is not None:
            receiver.deliver(request_id, wire.events_payload(response), final)

    def _refuse(self, request_id: str, message: str) -> None:
        """Fails the request that an in-band error names, or all when it names none."""
        error = error_of(message)
        if isinstance(error, ModelNotReadyError):
            self._on_not_ready()
        if not request_id:
            self._fail_all(error)
        elif receiver := self._receivers.get(request_id):
            self.forget(request_id)
            receiver.lose(request_id, Lost(error, begun=False))

    def _fail_all(self, error: ServiceError) -> None:
        receivers, self._receivers = self._receivers, {}
        for request_id, receiver in receivers.items():
            receiver.lose(request_id, Lost(error, request_id in self._sent))
        self._sent.clear()
