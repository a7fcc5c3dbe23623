"""One interface for both clients, so that one test runs over both."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Self, cast

from seqway import AsyncClient, Client

MAKERS: dict[str, Callable[..., AsyncClient]] = {
    "asyncio": AsyncClient,
    "threads": lambda *args, **options: cast(AsyncClient, InThread(Client(*args, **options))),
}
_STREAMING = {"stream_translate", "stream_summarize", "list", "watch", "results", "text"}
_AT_ONCE = {"cancel"}


class InThread:
    """What a `Client`, its jobs or a stream do, each call in a thread of its own."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name == "jobs":
            return InThread(value)
        if not callable(value) or (name in _AT_ONCE and hasattr(self._inner, "__next__")):
            return value
        if name in _STREAMING:
            return lambda *args, **options: InThread(value(*args, **options))
        return lambda *args, **options: asyncio.to_thread(value, *args, **options)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        end = object()
        item = await asyncio.to_thread(next, self._inner, end)
        if item is end:
            raise StopAsyncIteration
        return item

    async def __aenter__(self) -> Self:
        self._inner.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._inner.__exit__, None, None, None)
