"""One call at each service, and when its first text came."""

import time
from typing import Protocol, Self

import grpc
from seqway import AsyncClient, TextDelta

from tests.benchmarks.open_loop.wire import CHANNEL_OPTIONS, METHOD, SERVICE, decode, encode

TIMEOUT = 30.0


class Caller(Protocol):
    """Calls one service over one connection; used in an `async with` block."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def call(self, text: str) -> float:
        """Returns when the answer is whole: the moment of its first text, by `time.monotonic`."""


class SeqwayCaller:
    """The SDK at the gateway; a refused call is not sent again."""

    def __init__(self, address: str, model: str, limit: int, *, stream: bool) -> None:
        self._client = AsyncClient(address, retry_overloaded=False, timeout=TIMEOUT)
        self._model, self._limit = model, limit
        self._stream = stream

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def call(self, text: str) -> float:
        """See `Caller`."""
        if self._stream:
            return await self._streamed(text)
        await self._client.translate(
            text, source="en", target="fr", model=self._model, max_new_tokens=self._limit
        )
        return time.monotonic()

    async def _streamed(self, text: str) -> float:
        first = None
        stream = self._client.stream_translate(
            text, source="en", target="fr", model=self._model, max_new_tokens=self._limit
        )
        async for event in stream:
            if first is None and isinstance(event, TextDelta):
                first = time.monotonic()
        return first or time.monotonic()


class PeerCaller:
    """A bare stub at a peer's server."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._address, CHANNEL_OPTIONS)
        self._call = self._channel.unary_unary(
            f"/{SERVICE}/{METHOD}",
            request_serializer=encode,
            response_deserializer=decode,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def call(self, text: str) -> float:
        """See `Caller`."""
        await self._call(text, timeout=TIMEOUT)
        return time.monotonic()
