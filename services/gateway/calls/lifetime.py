"""How long a call may last, and what ends it: its deadline, or credentials no longer valid."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, ClassVar

import structlog

from services.foundation.endings import ENDINGS
from services.gateway.authentication.authenticator import CredentialsCheck
from services.gateway.authentication.errors import CredentialsError, ScopeError
from services.gateway.calls.handlers import Context
from services.gateway.calls.settings import CallSettings
from services.inference.errors import DeadlineExceededError, ServiceError, ServiceUnavailableError

logger = structlog.get_logger(__name__)


class StreamEndedError(ServiceUnavailableError):
    """A stream has reached its time limit: nothing failed, and another one goes on."""

    reason: ClassVar[str] = "STREAM_ENDED"


def seconds_of(context: Context, settings: CallSettings) -> float:
    """For how long a call may run; bounded whatever its caller asks for."""
    remaining = context.time_remaining()
    if remaining is None:
        return settings.default_deadline
    return min(remaining, settings.longest_deadline)


def deadline_of(context: Context, settings: CallSettings) -> float:
    """When the call must be done, on the event loop's clock, with the margin taken off.

    DeadlineExceededError when that leaves no time to begin.
    """
    allowed = seconds_of(context, settings)
    if context.time_remaining() is not None:
        allowed -= settings.deadline_margin
    if allowed <= 0:
        raise DeadlineExceededError("the deadline leaves no time to start")
    return asyncio.get_running_loop().time() + allowed


async def bounded(
    work: Awaitable[Any], seconds: float, check: CredentialsCheck | None, interval: float
) -> Any:
    """What `work` returns; ended after so many seconds, or when `check` refuses at some interval.

    Raises DeadlineExceededError then, or the CredentialsError or ScopeError of `check`.
    """
    faults: list[ServiceError] = []
    checks: asyncio.Task[None] | None = None
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            if check is not None:
                checks = asyncio.create_task(_recheck(check, interval, scope, faults))
            return await work
    except TimeoutError:
        if not scope.expired():
            raise
        if faults:
            raise faults[0] from None
        raise DeadlineExceededError("the deadline passed before the call was done") from None
    finally:
        if checks is not None:
            checks.cancel()


async def _recheck(
    check: CredentialsCheck, interval: float, scope: asyncio.Timeout, faults: list[ServiceError]
) -> None:
    """Checks at intervals until a check refuses, which ends the scope."""
    while not faults:
        await asyncio.sleep(interval)
        try:
            await check()
        except (CredentialsError, ScopeError) as error:
            faults.append(error)
            with suppress(RuntimeError):  # the scope ends already
                scope.reschedule(asyncio.get_running_loop().time())
        except ENDINGS:
            raise
        except BaseException as error:
            # A temporary outage of the issuer ends no calls.
            logger.warning("credentials could not be checked again", kind=type(error).__name__)
