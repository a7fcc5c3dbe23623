"""Load on a service: calls at given moments, or from callers that wait for their answers."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from seqway import DeadlineError, OverloadedError

from tests.benchmarks.open_loop.callers import Caller

UNANSWERED = math.inf
_NO_ROOM = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Seconds to the first text and to the whole answer of a call; infinite without an answer.

    They count from when the call was due, so that a client that is late itself, or that waits
    behind earlier calls, hides nothing.
    """

    first: float
    whole: float


async def open_loop(
    caller: Caller, texts: Sequence[str], moments: Sequence[float]
) -> list[CallTimes]:
    """Each text at its moment, in seconds from now, whether others are answered or not."""
    began = time.monotonic()

    async def timed(text: str, due: float) -> CallTimes:
        first = await _first_text(caller, text)
        whole = UNANSWERED if first == UNANSWERED else time.monotonic()
        return CallTimes(first - due, whole - due)

    tasks = []
    for text, moment in zip(texts, moments, strict=True):
        due = began + moment
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(timed(text, due)))
    return list(await asyncio.gather(*tasks))


async def capacity(caller: Caller, texts: Sequence[str], in_flight: int) -> float:
    """Answers a second with so many callers that wait for theirs."""
    left = iter(texts)
    began = time.monotonic()

    async def calls() -> int:
        return sum([await _first_text(caller, text) != UNANSWERED for text in left])

    answered = sum(await asyncio.gather(*(calls() for _ in range(in_flight))))
    return answered / (time.monotonic() - began)


async def _first_text(caller: Caller, text: str) -> float:
    """When it came; infinite where the call is refused or comes too late."""
    try:
        return await caller.call(text)
    except (OverloadedError, DeadlineError):
        return UNANSWERED
    except grpc.aio.AioRpcError as error:
        if error.code() not in _NO_ROOM:
            raise
        return UNANSWERED
