"""Holds tenants to their limits: rates over a minute, and calls at a time."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.foundation.environment import InvalidSettingsError
from services.gateway.admission.settings import AdmissionSettings, TenantLimits
from services.inference.errors import OverloadError
from services.jobs.settings import JobSettings
from services.jobs.store.items import Item

logger = structlog.get_logger(__name__)

_EVERYBODY = "*"
_MINUTE = 60.0
_CONCURRENT_RETRY = 1.0
_QUEUE_RETRY = 60.0
_LEFT_SECONDS = 0.25
# While Redis is away each gateway counts for itself, and looks again after so many seconds.
_AWAY_SECONDS = 10.0
# Calls wait for Redis, but not long for one that hangs.
_MOST_PATIENCE = 0.5


class QuotaError(OverloadError):
    """A tenant is at one of its limits; `quota` names it."""

    reason: ClassVar[str] = "QUOTA_EXCEEDED"

    def __init__(self, message: str, quota: str, retry_delay: float | None) -> None:
        super().__init__(message, retry_delay=retry_delay)
        self.quota = quota


class Quotas:
    """Counts what tenants use; tenants without a limit are not counted.

    Rates are counted in a sliding window of one minute, in Redis for all gateways where the
    settings say so.  Calls at a time are counted in this gateway.
    """

    def __init__(self, settings: AdmissionSettings, jobs: JobSettings) -> None:
        limits = settings.tenant_limits
        common = self._common = limits.get(_EVERYBODY, TenantLimits())
        self._limits = {
            tenant: common.model_copy(update=own.model_dump(exclude_unset=True))
            for tenant, own in limits.items()
        }
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = _shared_limiter(jobs) if settings.limits_store == "redis" else None
        self._away_until = 0.0
        self._calls: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    def limits(self, tenant: str) -> TenantLimits:
        """What the tenant may use: where it has no limit of its own, that of all tenants."""
        return self._limits.get(tenant, self._common)

    async def count_request(self, tenant: str) -> None:
        """Counts a request; QuotaError when it is one too many."""
        limit = self.limits(tenant).requests_per_minute
        if limit is not None:
            await self._count("requests_per_minute", tenant, limit, 1)

    async def count_characters(self, tenant: str, characters: int) -> None:
        """Counts the characters of a request; QuotaError when they are too many."""
        limit = self.limits(tenant).characters_per_minute
        if limit is None or not characters:
            return
        if characters > limit:
            raise QuotaError(
                f"the call has {characters:,} characters, and characters_per_minute is {limit:,}:"
                " send less text in one call",
                "characters_per_minute",
                None,
            )
        await self._count("characters_per_minute", tenant, limit, characters)

    @contextmanager
    def place(self, tenant: str, *, streams: bool) -> Iterator[None]:
        """Holds a place while a call runs; QuotaError when the tenant has no more."""
        limits = self.limits(tenant)
        counted = [(self._calls, limits.concurrent_calls, "concurrent_calls")]
        if streams:
            counted.append((self._streams, limits.concurrent_streams, "concurrent_streams"))
        for counter, limit, quota in counted:
            if limit is not None and counter[tenant] >= limit:
                raise QuotaError(
                    f"the tenant has {limit:,} calls in flight, as many as {quota} allows",
                    quota,
                    _CONCURRENT_RETRY,
                )
        counters = [counter for counter, _, _ in counted]
        for counter in counters:
            counter[tenant] += 1
        kept = 0.0
        try:
            yield
        except asyncio.CancelledError:
            # Else callers that disconnect at once would get more of the models than others.
            kept = _LEFT_SECONDS
            raise
        finally:
            if kept:
                asyncio.get_running_loop().call_later(kept, _release, counters, tenant)
            else:
                _release(counters, tenant)

    def within_queue(
        self, tenant: str, items: Iterable[Item], queued: Callable[[], int]
    ) -> Iterator[Item]:
        """The lines of a new job, as long as they fit beside the `queued` ones; QuotaError."""
        limit = self.limits(tenant).queued_lines
        if limit is None:
            yield from items
            return
        waiting = queued()
        for number, item in enumerate(items, start=waiting + 1):
            if number > limit:
                raise QuotaError(
                    f"the tenant may have {limit:,} queued_lines, and {waiting:,} lines of its jobs"
                    " are waiting: send fewer lines, or wait for these",
                    "queued_lines",
                    _QUEUE_RETRY if waiting else None,
                )
            yield item

    def check_queue(self, tenant: str, lines: int, queued: Callable[[], int]) -> None:
        """QuotaError unless so many lines that wait again fit beside the `queued` ones."""
        limit = self.limits(tenant).queued_lines
        if limit is not None and (waiting := queued()) + lines > limit:
            raise QuotaError(
                f"the tenant may have {limit:,} queued_lines, {waiting:,} lines of its jobs are"
                f" waiting, and this job has {lines:,}: wait for the others",
                "queued_lines",
                _QUEUE_RETRY,
            )

    async def _count(self, quota: str, tenant: str, limit: int, amount: int) -> None:
        item = RateLimitItemPerMinute(limit, namespace="seqway:rate")
        limiter = self._limiter()
        try:
            within = await limiter.hit(item, quota, tenant, cost=amount)
            reset = None if within else (await limiter.get_window_stats(item, quota, tenant))[0]
        except Exception as error:  # the library's and redis-py's have nothing else in common
            if limiter is self._own:
                raise
            self._away_until = time.monotonic() + _AWAY_SECONDS
            logger.warning(
                "Redis does not answer: this gateway counts rates alone", kind=type(error).__name__
            )
            await self._count(quota, tenant, limit, amount)
            return
        if limiter is self._shared:
            self._away_until = 0.0
        if reset is not None:
            # The window frees room for one at `reset`, and for so many in their share of it.
            wait = max(0.1, reset - time.time(), amount / limit * _MINUTE)
            wait = min(_MINUTE, wait)
            raise QuotaError(
                f"the tenant has used up its {quota}, {limit:,}: retry in {wait:.1f} s", quota, wait
            )

    def _limiter(self) -> SlidingWindowCounterRateLimiter:
        """Redis, unless it did not answer a moment ago: then one call tries, and none waits."""
        now = time.monotonic()
        if self._shared is None or now < self._away_until:
            return self._own
        if self._away_until:
            self._away_until = now + _AWAY_SECONDS
        return self._shared


def _release(counters: Iterable[Counter[str]], tenant: str) -> None:
    for counter in counters:
        counter[tenant] -= 1
        if not counter[tenant]:
            del counter[tenant]


def _shared_limiter(settings: JobSettings) -> SlidingWindowCounterRateLimiter:
    patience = min(settings.redis_timeout, _MOST_PATIENCE)
    options: dict[str, Any] = {
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        # By default redis-py retries three times, with pauses between.
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        url = f"async+{settings.redis_address}"
        storage = RedisStorage(url, implementation="redispy", **options)
    except ConfigurationError:  # whose words hold the password
        raise InvalidSettingsError(
            "SEQWAY_REDIS_URL names no host and port, which SEQWAY_LIMITS_STORE=redis needs"
        ) from None
    return SlidingWindowCounterRateLimiter(storage)
