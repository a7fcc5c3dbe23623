"""Triton as the engine: a few streams that all calls share."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import grpc
from tritonclient.grpc import service_pb2_grpc  # type: ignore[import-untyped]

from engine.contract.events import Ready
from engine.contract.options import Options
from services.inference.errors import (
    DeadlineExceededError,
    ModelDeadError,
    ModelNotReadyError,
    ServiceError,
)
from services.inference.rows.engine import InferenceEngine, Lost, RowEvent
from services.inference.settings import InferenceSettings
from services.inference.triton.connection import TritonConnection
from services.inference.triton.encoder import TritonEncoder
from services.inference.triton.repository import TritonRepository
from services.inference.triton.session import TritonSession

# Reconnect soon after a restart of Triton: the default backoff grows to two minutes.
_CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    # Streams and requests go to all Tritons behind a name in turn.
    ("grpc.lb_policy_name", "round_robin"),
)


# Of requests that a process had when it died Triton says nothing.  So a model that owes an answer
# and says nothing for a while is asked whether it lives: it takes Triton another second to find
# that it does not.
_SILENCE = 0.5
_TICK = 0.1


class TritonEngine(InferenceEngine):
    """Owns the channel to Triton and its shared streams, which reopen on demand.

    To be built inside a running event loop.
    """

    def __init__(self, settings: InferenceSettings) -> None:
        url, certificates = settings.triton_url, settings.triton_certificates
        self._channel = (
            grpc.aio.insecure_channel(url, options=_CHANNEL_OPTIONS)
            if certificates is None
            else grpc.aio.secure_channel(
                url, certificates.channel_credentials(), options=_CHANNEL_OPTIONS
            )
        )
        self._stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._connections: list[TritonConnection] = []
        self._sessions: WeakSet[TritonSession] = WeakSet()
        self._heard: dict[str, float] = {}
        self._alive: dict[str, float] = {}
        self._busy_patience = settings.triton_patience
        self._streams = settings.triton_streams
        self._stream_age = settings.triton_stream_age
        self._patience = settings.probe_timeout
        self._suspects: dict[str, asyncio.Task[None]] = {}
        self._listener = asyncio.create_task(self._listen(), name="triton-listener")
        self.encoder = TritonEncoder(
            self._stub, settings.encoder_patience, settings.triton_patience
        )
        self.repository = TritonRepository(self._stub, self._retire)

    def open(self, model: str, deadline: float, tenant: str = "") -> TritonSession:
        """A session for one call."""
        session = TritonSession(
            model, deadline, tenant, self._connection, self._note, self._abandon
        )
        self._sessions.add(session)
        return session

    async def probe(self, model: str, within: float) -> None:
        """Asks the engine's lanes of the model for a sign of life.

        When its process is found dead, the calls that wait for it fail: of these Triton says no
        more.
        """
        deadline = asyncio.get_running_loop().time() + within
        with self.open(model, deadline) as session:
            request_id = session.submit((), Options())
            try:
                replies = await session.receive()
                session.release(request_id)
                _require_answer(model, [each for reply in replies for each in reply.events])
                self._alive[model] = deadline - within
            except DeadlineExceededError:
                if not self._is_busy(model, deadline - within):
                    message = f"{model} did not answer within {within:g} s"
                    raise ModelNotReadyError(message) from None
            except ModelDeadError as error:
                self._abandon(model, error)
                raise

    async def close(self) -> None:
        """Ends the streams, then the channel; calls that are open fail."""
        for task in (self._listener, *self._suspects.values()):
            task.cancel()
        await asyncio.gather(*(connection.close() for connection in self._connections))
        await self._channel.close()

    async def _listen(self) -> None:
        """Asks models that are silent for a sign of life, each once at a time."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TICK)
            before = loop.time() - _SILENCE
            for model in {each.model for each in self._sessions if each.waits_since <= before}:
                heard = max(self._heard.get(model, 0.0), self._alive.get(model, 0.0))
                if heard <= before and model not in self._suspects:
                    task = asyncio.create_task(self._ask(model), name="triton-suspect")
                    self._suspects[model] = task

    async def _ask(self, model: str) -> None:
        try:
            with suppress(ServiceError):  # what follows from it, `probe` has done
                await self.probe(model, self._patience)
        finally:
            self._suspects.pop(model, None)

    def _note(self, model: str) -> None:
        self._heard[model] = asyncio.get_running_loop().time()

    def _is_busy(self, model: str, since: float) -> bool:
        """Whether it worked on calls meanwhile: who has more to do than it can is slow to answer.

        For a while only: when one lane of two hangs, the other works on.
        """
        alive = self._alive.get(model, -math.inf)
        return self._heard.get(model, -math.inf) >= since and since - alive <= self._busy_patience

    def _abandon(self, model: str, error: ModelDeadError) -> None:
        for session in self._sessions:
            if session.model == model:
                session.abandon(error)

    def _connection(self) -> TritonConnection:
        """The stream with the fewest requests; a new one while there are fewer than there may."""
        self._connections = [each for each in self._connections if not each.closed]
        self._retire_old()
        usable = [each for each in self._connections if not each.retired]
        if len(usable) < self._streams:
            self._connections.append(TritonConnection(self._stub, self._retire))
            return self._connections[-1]
        return min(usable, key=lambda connection: connection.load)

    def _retire_old(self) -> None:
        """One at a time: else a Triton that is new behind the name would never get a stream."""
        now = asyncio.get_running_loop().time()
        for connection in self._connections:
            if not connection.retired and now - connection.opened > self._stream_age:
                connection.retire()
                return

    def _retire(self) -> None:
        """Lets go of a Triton that may be shutting down: streams would keep it from its end."""
        for connection in self._connections:
            connection.retire()


def _require_answer(model: str, events: Sequence[RowEvent]) -> None:
    for event in events:
        if isinstance(event, Lost):
            raise event.error
    if not any(isinstance(event, Ready) for event in events):
        raise ModelNotReadyError(f"{model} did not answer the probe as it should")
