"""Dynamic batching: a free worker takes all that waits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Self

Translate = Callable[[Sequence[str]], Awaitable[list[str]]]


class DynamicBatcher:
    """Gathers calls while its workers are busy, as servers of models do.

    A batch never waits to be filled: with the workers busy it fills by itself, and else waiting
    would only delay its first call.
    """

    def __init__(self, translate: Translate, workers: int, max_batch: int) -> None:
        self._translate = translate
        self._workers = workers
        self._max_batch = max_batch
        self._waiting: asyncio.Queue[tuple[str, asyncio.Future[str]]] = asyncio.Queue()

    async def __call__(self, text: str) -> str:
        """The translation of one text."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((text, answer))
        return await answer

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        for _ in range(self._workers):
            worker = asyncio.create_task(self._work())
            self._stack.callback(worker.cancel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _work(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._max_batch and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                answers = await self._translate([text for text, _ in batch])
            except Exception as error:  # each caller gets it
                for _, answer in batch:
                    _settle(answer, error)
            else:
                for (_, answer), text in zip(batch, answers, strict=True):
                    _settle(answer, text)


def _settle(answer: asyncio.Future[str], result: str | Exception) -> None:
    if answer.done():  # its caller has gone
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
