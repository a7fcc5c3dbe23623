"""Calls that last as long as a job or its upload: how many there may be, and for how long."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from services.gateway.calls.drain import Draining
from services.gateway.calls.handlers import Context
from services.gateway.calls.lifetime import StreamEndedError, seconds_of
from services.gateway.calls.settings import CallSettings
from services.inference.errors import OverloadError

_RETRY_SECONDS = 1.0
# Before the bound that all calls have, behind which there is no way to go on.
_MARGIN = 0.1
_MOST_MARGIN_SECONDS = 2.0


class JobStreams:
    """Places for them, of which one tenant has at most two thirds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._share = max(1, most * 2 // 3)
        self._of_tenants: Counter[str] = Counter()

    @contextmanager
    def place(self, tenant: str) -> Iterator[None]:
        """Holds a place; OverloadError when there is none."""
        for held, most, jobs in (
            (self._of_tenants.total(), self._most, "jobs"),
            (self._of_tenants[tenant], self._share, "the tenant's jobs"),
        ):
            if held >= most:
                message = f"{most:,} streams of {jobs} are in flight, which is the limit"
                raise OverloadError(message, retry_delay=_RETRY_SECONDS)
        self._of_tenants[tenant] += 1
        try:
            yield
        finally:
            self._of_tenants[tenant] -= 1
            if not self._of_tenants[tenant]:
                del self._of_tenants[tenant]


class Turn:
    """The time of a stream that waits for a job."""

    def __init__(
        self,
        context: Context,
        settings: CallSettings,
        draining: Draining,
    ) -> None:
        seconds = seconds_of(context, settings)
        margin = min(_MARGIN * seconds, _MOST_MARGIN_SECONDS)
        self._draining = draining
        self._end = asyncio.get_running_loop().time() + seconds - margin

    @property
    def is_over(self) -> bool:
        """Whether it is time to end."""
        return asyncio.get_running_loop().time() >= self._end

    async def pause(self, seconds: float) -> None:
        """Sleeps, but not beyond the end; DrainingError as soon as the gateway drains."""
        left = self._end - asyncio.get_running_loop().time()
        await self._draining.pause(max(0.0, min(seconds, left)))

    def ended(self) -> StreamEndedError:
        """What to raise then."""
        return StreamEndedError(
            "the stream has reached its time limit: open another with the last resume_token",
            retry_delay=0.1,
        )
