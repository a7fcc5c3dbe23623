"""What ends a call from outside: its time limit, and credentials that are no longer valid."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from services.foundation.endings import ENDINGS
from services.gateway.authentication.authenticator import CredentialsCheck
from services.gateway.authentication.errors import CredentialsError, ScopeError
from services.inference.errors import DeadlineExceededError, ServiceError

logger = structlog.get_logger(__name__)


@asynccontextmanager
async def bounded(
    seconds: float, check: CredentialsCheck | None, interval: float
) -> AsyncIterator[None]:
    """Ends what runs within: after so many seconds, or when `check` refuses at some interval.

    Raises DeadlineExceededError then, or the CredentialsError or ScopeError of `check`.
    """
    faults: list[ServiceError] = []
    checks: asyncio.Task[None] | None = None
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            if check is not None:
                checks = asyncio.create_task(_recheck(check, interval, scope, faults))
            yield
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
