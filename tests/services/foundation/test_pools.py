"""Threads for blocking work: bounded, by kind, and shared between owners."""

import asyncio
import threading
from contextvars import ContextVar

import pytest
from gateway_stack import wait_until

from services.foundation.fibers import AbandonedError, Fibers, give_way, wait
from services.foundation.pools import Pool

PATIENCE = 10.0


class PanicException(BaseException):
    """As Rust extensions raise it."""


async def test_one_owner_leaves_threads_to_others() -> None:
    pool, gate = Pool("test", 4), threading.Event()
    try:
        hog = [asyncio.create_task(pool.run("hog", gate.wait, PATIENCE)) for _ in range(20)]
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            assert await pool.run("other", lambda: 1) == 1
    finally:
        gate.set()
    assert all(await asyncio.gather(*hog))
    await wait_until(lambda: not pool._owners)


async def test_callers_who_leave_free_no_thread_that_is_held() -> None:
    pool, gate = Pool("test", 2), threading.Event()
    started = threading.Semaphore(0)

    def hold() -> None:
        started.release()
        gate.wait(PATIENCE)

    try:
        for _ in range(5):
            held = asyncio.create_task(pool.run("hog", hold))
            await asyncio.sleep(0.01)
            held.cancel()
        async with asyncio.timeout(PATIENCE):
            assert await pool.run("other", lambda: 1) == 1
    finally:
        gate.set()
    await wait_until(lambda: not pool._owners)
    assert started.acquire(blocking=False)
    assert not started.acquire(blocking=False), "who left the line was run all the same"


@pytest.mark.parametrize("error", [ValueError, PanicException])
async def test_what_a_function_raises_reaches_its_caller(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    pool, fibers = Pool("test", 1), Fibers("test", 1)
    with pytest.raises(error):
        await pool.run("", fail)
    with pytest.raises(error):
        await fibers.run(fail)
    assert await pool.run("", lambda: 1) == await fibers.run(lambda: 1) == 1


async def test_functions_that_wait_hold_no_thread() -> None:
    fibers, gate = Fibers("test", 2), asyncio.Event()
    name: ContextVar[int] = ContextVar("name")
    threads = set()

    async def number() -> int:
        await gate.wait()
        return name.get()

    def work() -> int:
        before = name.get()
        threads.add(threading.get_ident())
        # A loop in C between the function and where it waits.
        found = sum(map(lambda _: wait(number), range(3)))  # noqa: C417
        assert name.get() == before
        return found

    async def one(value: int) -> int:
        name.set(value)
        return await fibers.run(work)

    waiting = [asyncio.create_task(one(value)) for value in range(200)]
    async with asyncio.timeout(PATIENCE):
        assert await fibers.run(lambda: "free") == "free"
        gate.set()
        assert await asyncio.gather(*waiting) == [3 * value for value in range(200)]
    assert len(threads) == 2


async def test_what_is_awaited_may_fail() -> None:
    async def fail() -> None:
        raise ValueError("no")

    def work() -> str:
        try:
            wait(fail)
        except ValueError as error:
            return str(error)
        return ""

    assert await Fibers("test", 1).run(work) == "no"


async def test_a_function_whose_caller_leaves_cleans_up() -> None:
    fibers, ended = Fibers("test", 1), []

    def work() -> None:
        try:
            wait(asyncio.Event().wait)
        except AbandonedError:
            give_way_again()
            raise

    def give_way_again() -> None:
        try:
            give_way()
        except AbandonedError:
            ended.append(True)

    call = asyncio.create_task(fibers.run(work))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await fibers.close(PATIENCE)
    assert ended == [True]
