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
    checks: _Checks | None = None
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            checks = _Checks(scope, check, interval) if check is not None else None
            yield
    except TimeoutError:
        if not scope.expired():
            raise
        if checks is not None and checks.fault is not None:
            raise checks.fault from None
        raise DeadlineExceededError("the deadline passed before the call was done") from None
    finally:
        if checks is not None:
            checks.close()


class _Checks:
    """Checks at intervals; costs nothing before the first one."""

    def __init__(self, scope: asyncio.Timeout, check: CredentialsCheck, interval: float) -> None:
        self.fault: ServiceError | None = None
        self._scope = scope
        self._check = check
        self._interval = interval
        self._looking: asyncio.Task[None] | None = None
        self._wait()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._interval, self._begin)

    def _begin(self) -> None:
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            await self._check()
        except (CredentialsError, ScopeError) as error:
            self.fault = error
            with suppress(RuntimeError):  # it ends already
                self._scope.reschedule(asyncio.get_running_loop().time())
            return
        except ENDINGS:
            raise
        except BaseException as error:
            # A temporary outage of the issuer ends no calls.
            logger.warning("credentials could not be checked again", kind=type(error).__name__)
        self._wait()

    def close(self) -> None:
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
