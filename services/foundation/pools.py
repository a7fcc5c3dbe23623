"""Threads for blocking work: each kind has its own, so that no kind waits for another."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class _Owner:
    """A current user of the pool: its free turns, and its calls that run or are queued."""

    turns: asyncio.Semaphore
    calls: int = 0


class Pool:
    """A bounded number of threads; calls beyond it are queued.

    One owner has at most half of the threads at a time, which leaves the rest to others.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"{name}-")
        self._share = max(1, threads // 2)
        self._owners: dict[tuple[asyncio.AbstractEventLoop, str], _Owner] = {}

    async def run(
        self,
        owner: str,
        function: Callable[_Arguments, _Answer],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Answer:
        """Calls the function in a thread, with the context of the caller.

        A caller that is cancelled while it is queued leaves the queue; a function that already runs
        finishes, and its answer is dropped.
        """
        loop = asyncio.get_running_loop()
        key = loop, owner
        user = self._owners.setdefault(key, _Owner(asyncio.Semaphore(self._share)))
        user.calls += 1
        try:
            await user.turns.acquire()
        except BaseException:
            self._leave(key)
            raise
        call = partial(function, *arguments, **named)
        work = self._executor.submit(copy_context().run, call)
        # Not when the caller is cancelled: that frees no thread.
        work.add_done_callback(partial(self._ended, key))
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        """Lets the threads end; what is queued is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _ended(self, key: tuple[asyncio.AbstractEventLoop, str], _work: "Future[object]") -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            key[0].call_soon_threadsafe(self._give_back, key)

    def _give_back(self, key: tuple[asyncio.AbstractEventLoop, str]) -> None:
        self._owners[key].turns.release()
        self._leave(key)

    def _leave(self, key: tuple[asyncio.AbstractEventLoop, str]) -> None:
        user = self._owners[key]
        user.calls -= 1
        if not user.calls:
            del self._owners[key]
