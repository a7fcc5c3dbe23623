"""Many blocking functions in few threads: one that waits for the event loop blocks no thread.

A function runs in a greenlet.  When it needs something from the event loop it calls `wait`, which
yields its thread to the next function; it continues in the same thread when the answer is there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

_Answer = TypeVar("_Answer")


class AbandonedError(Exception):
    """The caller of a function was cancelled; raised in the function by `wait`."""


def wait(wanted: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Has the event loop await what `wanted` returns; returns or raises what that does.

    For functions that `Fibers` runs; AbandonedError when their caller was cancelled.
    """
    parent = getcurrent().parent
    assert parent is not None, "this function was not started by Fibers"
    answer: _Answer = parent.switch(_Wait(wanted))
    return answer


def give_way() -> None:
    """Lets the other functions of the thread run; AbandonedError as for `wait`."""
    wait(partial(asyncio.sleep, 0))


@dataclass(frozen=True, slots=True)
class _Wait:
    wanted: Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Done:
    answer: Any


@dataclass(slots=True)
class _Fiber:
    """A running function; everything but `abandoned` and `waiting` belongs to its thread."""

    function: Callable[[], Any]
    context: Context
    thread: Executor
    greenlet: Any = None
    abandoned: bool = False
    waiting: "asyncio.Future[Any] | None" = field(default=None)

    def begin(self) -> _Wait | _Done:
        self.greenlet = greenlet(lambda: _Done(self.function()))
        self.greenlet.gr_context = self.context
        return self.greenlet.switch()  # type: ignore[no-any-return]

    def abandon(self) -> None:
        self.abandoned = True
        if self.waiting is not None:
            self.waiting.cancel()


class Fibers:
    """A bounded number of threads; each function belongs to one of them, the least loaded."""

    def __init__(self, name: str, threads: int) -> None:
        self._threads = [
            ThreadPoolExecutor(1, thread_name_prefix=f"{name}-{number}")
            for number in range(threads)
        ]
        self._loads = [0] * threads
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, function: Callable[[], _Answer]) -> _Answer:
        """The answer of a function, which may call `wait`; raises what it raises.

        When the caller is cancelled, the function gets an AbandonedError as soon as it waits, and
        cleans up in the background.
        """
        number = self._loads.index(min(self._loads))
        fiber = _Fiber(function, copy_context(), self._threads[number])
        self._loads[number] += 1
        running = asyncio.create_task(_drive(fiber))
        self._running.add(running)
        running.add_done_callback(partial(self._end, number))
        try:
            answer: _Answer = await asyncio.shield(running)
        except asyncio.CancelledError:
            fiber.abandon()
            raise
        return answer

    async def close(self, patience: float) -> None:
        """Waits for at most so many seconds until abandoned functions have cleaned up."""
        if self._running:
            await asyncio.wait(self._running, timeout=patience)
        for thread in self._threads:
            thread.shutdown(wait=False, cancel_futures=True)

    def _end(self, number: int, running: "asyncio.Task[Any]") -> None:
        self._loads[number] -= 1
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # marks it as retrieved: its caller may be gone


async def _drive(fiber: _Fiber) -> Any:
    loop = asyncio.get_running_loop()
    said = await loop.run_in_executor(fiber.thread, fiber.begin)
    while isinstance(said, _Wait):
        resume = await _answer(fiber, said)
        said = await loop.run_in_executor(fiber.thread, resume)
    assert isinstance(said, _Done)
    return said.answer


async def _answer(fiber: _Fiber, question: _Wait) -> Callable[[], Any]:
    """How to resume a function that waits."""
    if not fiber.abandoned:
        fiber.waiting = asyncio.ensure_future(question.wanted())
        await asyncio.wait([fiber.waiting])
    if fiber.abandoned or fiber.waiting is None or fiber.waiting.cancelled():
        return partial(fiber.greenlet.throw, AbandonedError)
    error = fiber.waiting.exception()
    if error is None:
        return partial(fiber.greenlet.switch, fiber.waiting.result())
    return partial(fiber.greenlet.throw, error)
