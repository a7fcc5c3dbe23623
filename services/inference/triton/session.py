"""The requests of one call to Triton."""

import asyncio
import math
import uuid
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeAlias

from engine.contract.events import Delta, End
from engine.contract.options import Options
from services.inference.errors import DeadlineExceededError, ModelDeadError, ServiceError
from services.inference.rows.engine import EngineSession, Lost, Reply, RowEvent
from services.inference.triton import wire
from services.inference.triton.connection import TritonConnection
from services.inference.triton.wire import events_of

_Message: TypeAlias = tuple[str, bytes | Lost | None, bool]
"""A request's id, what came on it, and whether it is the last."""


class TritonSession(EngineSession):
    """Keeps its requests together: one mailbox, one deadline, one end."""

    def __init__(
        self,
        model: str,
        deadline: float,
        tenant: str,
        connect: Callable[[], TritonConnection],
        note: Callable[[str], None],
        on_dead: Callable[[str, ModelDeadError], None],
    ) -> None:
        """`note` is called with the model's name when it has worked on a text.

        `on_dead` is called with it when Triton says of a request that the model's process is dead:
        of those that the process has, Triton says no more.
        """
        self.model = model
        self._deadline = deadline
        self._tenant = {"tenant": tenant} if tenant else {}
        self._connect = connect
        self._note = note
        self._on_dead = on_dead
        self._asked = math.inf
        self._open: dict[str, TritonConnection] = {}
        self._mailbox = _Mailbox()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_at(deadline, self._expire)

    @property
    def waits_since(self) -> float:
        """When the last request was sent, if one is open; else infinity."""
        return self._asked if self._open else math.inf

    def submit(
        self, texts: Sequence[str], generation: Options, traceparents: Sequence[str] = ()
    ) -> str:
        """Puts a request on the stream with the fewest."""
        request_id = uuid.uuid4().hex
        connection = self._connect()
        self._open[request_id] = connection
        self._asked = self._loop.time()
        options = self._options(generation) | _trace(traceparents)
        connection.send(wire.infer_request(self.model, request_id, texts, options), self)
        return request_id

    def release(self, request_id: str) -> None:
        """Stops listening to a request that needs no cancelling."""
        connection = self._open.pop(request_id, None)
        if connection is not None:
            connection.forget(request_id)

    async def receive(self) -> Sequence[Reply]:
        """All that has arrived; see `Session.receive`."""
        replies = [
            Reply(request_id, _events(content), final)
            for request_id, content, final in await self._mailbox.take()
        ]
        if any(isinstance(event, Delta | End) for reply in replies for event in reply.events):
            self._note(self.model)
        return replies

    def abandon(self, error: ServiceError) -> None:
        """Gives up all requests that are open: the process that had them is dead."""
        for request_id in list(self._open):
            self.release(request_id)
            self._mailbox.put((request_id, Lost(error, begun=True), True))

    def deliver(self, request_id: str, payload: bytes | None, final: bool) -> None:
        """Takes a response from a connection."""
        if final:
            self._open.pop(request_id, None)
        self._mailbox.put((request_id, payload, final))

    def lose(self, request_id: str, lost: Lost) -> None:
        """Takes the loss of a request."""
        self._open.pop(request_id, None)
        self._mailbox.put((request_id, lost, True))
        if isinstance(lost.error, ModelDeadError):
            self._on_dead(self.model, lost.error)

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Cancels upstream what is still open."""
        self._timer.cancel()
        for connection in set(self._open.values()):
            ids = [each for each, its_own in self._open.items() if its_own is connection]
            for request_id in ids:
                connection.forget(request_id)
            if not connection.closed:
                connection.send(wire.cancel_request(self.model, uuid.uuid4().hex, ids))
        self._open.clear()

    def _options(self, generation: Options) -> dict[str, Any]:
        remaining = self._deadline - self._loop.time()
        deadline = {"deadline_ms": max(1, int(remaining * 1000))}
        return generation.as_dict() | deadline | self._tenant

    def _expire(self) -> None:
        self._mailbox.fail(DeadlineExceededError("the deadline passed before the answer was done"))


def _trace(traceparents: Sequence[str]) -> dict[str, Any]:
    """The option `traceparent`: one for each text, or one for all."""
    if not traceparents:
        return {}
    return {"traceparent": traceparents[0] if len(set(traceparents)) == 1 else list(traceparents)}


def _events(content: bytes | Lost | None) -> Sequence[RowEvent]:
    if isinstance(content, Lost):
        return [content]
    return events_of(content) if content else ()


class _Mailbox:
    """Messages from many writers for one reader, who takes all that are there at once.

    Cheaper than a queue: a reader who is busy finds everything that came meanwhile in one go.
    """

    def __init__(self) -> None:
        self._messages: list[_Message] = []
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, message: _Message) -> None:
        """Adds a message."""
        self._messages.append(message)
        self._wake()

    def fail(self, error: Exception) -> None:
        """Makes the reader raise `error` once it has taken what is there; the first one counts."""
        self._error = self._error or error
        self._wake()

    async def take(self) -> list[_Message]:
        """All messages, at least one; waits for it."""
        while not self._messages:
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        messages, self._messages = self._messages, []
        return messages

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
