"""Answers on their way out: metrics count them, and admission learns from them."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from services.gateway import metrics
from services.gateway.admission.capacity import PLACE
from services.gateway.calls.handlers import Context
from services.inference.rows.account import Account

_Output = TypeVar("_Output")


async def stream_answer(
    context: Context, outputs: AsyncGenerator[_Output, None], response_of: Callable[[_Output], Any]
) -> None:
    """Writes what is ready as it is made, and times the first of it.

    Not a generator: when a client disconnects the work must end at once, and a generator that is
    cancelled between two messages is only closed when it is collected.
    """
    started, is_first = time.perf_counter(), True
    async with aclosing(outputs):
        async for output in outputs:
            await context.write(response_of(output))
            if is_first:
                is_first = False
                _record_first(time.perf_counter() - started)
            if isinstance(output, Account):
                record_account(output)


def record_account(account: Account) -> None:
    """Counts a call that was answered, and lets admission learn from it."""
    metrics.count_account(account)
    if place := PLACE.get():
        place.note(account)


def _record_first(seconds: float) -> None:
    metrics.FIRST_DELTA.observe(seconds)
    if place := PLACE.get():
        place.begin()
