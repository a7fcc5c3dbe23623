"""Announces work in Redis, without waiting long for it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from services.foundation.pools import Pool
from services.inference.errors import ServiceUnavailableError
from services.jobs.errors import QueueUnavailableError
from services.jobs.queue.messages import BROKER_CONNECTIONS
from services.jobs.service import JobBackend
from services.jobs.store.archive import JobRun

logger = structlog.get_logger(__name__)

# A Redis that hangs delays one caller for so long, and after that nobody for a while.
_MOST_SECONDS = 1.5
_AWAY_SECONDS = 5.0


class WakeUps:
    """The reconciler finds in the store what Redis misses: so nothing here fails a call."""

    def __init__(self, jobs: JobBackend) -> None:
        self._jobs = jobs
        # One more would wait for a connection.
        self._pool = Pool("redis", BROKER_CONNECTIONS)
        self._away_until = 0.0
        self._failures = 0

    async def queue(self, run: JobRun) -> None:
        """Announces a run with chunks to do."""
        job = run.record.id
        await self._tell(run.record.tenant, job, self._jobs.announce, run)

    async def finish(self, tenant: str, job: str) -> None:
        """Announces a job that is to be ended."""
        await self._tell(tenant, job, self._jobs.finish, job)

    async def _tell(
        self, tenant: str, job: str, function: Callable[..., None], *arguments: Any
    ) -> None:
        now = time.monotonic()
        if now < self._away_until:
            logger.info("a job is left to the reconciler: Redis does not answer", job_id=job)
            return
        if self._away_until:
            self._away_until = now + _AWAY_SECONDS  # this call tries, the others do not wait
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                await self._pool.run(tenant, self._try, self._failures, function, *arguments)
        except (TimeoutError, ServiceUnavailableError) as error:
            self._away_until = time.monotonic() + _AWAY_SECONDS
            kind = str(error) or "Redis does not answer"
            logger.warning("a job is left to the reconciler", job_id=job, error=kind)
        else:
            self._away_until = 0.0

    def _try(self, failures: int, function: Callable[..., None], *arguments: Any) -> None:
        """Calls the function, unless one before it in the queue has found Redis unavailable."""
        if self._failures > failures:
            raise QueueUnavailableError("Redis does not answer")
        try:
            function(*arguments)
        except ServiceUnavailableError:
            self._failures += 1
            raise

    def close(self) -> None:
        """Lets the threads end."""
        self._pool.close()
