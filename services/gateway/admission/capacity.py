"""Bounds the calls and the tokens in flight: more are refused before any work is done for them."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from services.gateway import metrics
from services.gateway.admission.estimates import Work, WorkEstimator
from services.inference.errors import DeadlineExceededError, OverloadError
from services.inference.rows.account import Account

_LONGEST_RETRY = 60.0
_LARGEST_SHARE = 4
_WAITING_SHARE = 0.25
# As in the engine (engine/runtime/batching/fairness.py).
_DOMINATES = 2.0


class Place:
    """What a call holds while it runs."""

    def __init__(
        self, estimator: WorkEstimator, characters: int, ahead: int, *, is_usual: bool
    ) -> None:
        """What is not usual teaches nothing of how long others wait."""
        self._estimator = estimator
        self._is_usual = is_usual
        self._characters = characters
        self._ahead = ahead
        self._began = time.monotonic()
        self._has_begun = False

    def begin(self) -> None:
        """The first of the answer has gone out."""
        self._has_begun = True

    def note(self, account: Account) -> None:
        """Improves the estimates of the next calls by what this one has cost."""
        self._has_begun = True
        if self._is_usual:
            tokens = account.input_tokens + account.output_tokens
            self._estimator.note(
                Work(self._characters, tokens, account.queue, account.total, self._ahead)
            )

    def give_up(self) -> None:
        """The deadline passed or the client disconnected."""
        if self._characters and self._is_usual:
            seconds = time.monotonic() - self._began
            self._estimator.note_unfinished(
                self._characters, seconds, self._ahead, has_begun=self._has_begun
            )


PLACE: ContextVar[Place | None] = ContextVar("place", default=None)
"""The place of the call that runs."""


class Capacity:
    """Counts calls in; exact, because all of it happens on one event loop.

    `maximum_concurrent_rpcs` of gRPC had a counter underflow (grpc#41531) and gives no details.
    """

    def __init__(self, calls: int, tokens: int, retry_delay: float) -> None:
        self._most_calls = calls
        self._most_tokens = tokens
        self._retry_delay = retry_delay
        self._estimator = WorkEstimator()
        self._calls = 0
        self._tokens = 0
        self._of_tenants: Counter[str] = Counter()

    @contextmanager
    def enter(self, characters: int, remaining: float | None, tenant: str = "") -> Iterator[None]:
        """Holds a place while a call runs; OverloadError when there is none.

        `remaining` are the seconds to its deadline: a call whose answer would come later is refused
        at once.  Behind a tenant that has most of what is in flight others do not wait, since the
        engine throttles that one.
        """
        own = self._estimator.tokens(characters)
        # A call has few of its rows at Triton at a time: a large one takes no more than others.
        tokens = min(own, self._most_tokens // _LARGEST_SHARE)
        passes = self._passes(tenant)
        self._check_room(tokens)
        # A call that is alone is always tried: else nobody would learn that times are better now.
        if tokens and self._tokens and remaining is not None and not passes:
            self._check_time(own, remaining)
        place = Place(self._estimator, characters, self._tokens, is_usual=not passes)
        self._change(1, tokens, tenant)
        token = PLACE.set(place)
        try:
            yield
        except (DeadlineExceededError, asyncio.CancelledError):
            place.give_up()
            raise
        finally:
            PLACE.reset(token)
            self._change(-1, -tokens, tenant)

    def _check_room(self, tokens: int) -> None:
        if self._calls >= self._most_calls:
            raise self._overload(f"{self._most_calls:,} calls are in flight, which is the limit")
        if tokens and self._tokens and self._tokens + tokens > self._most_tokens:
            raise self._overload(
                f"the calls in flight have about {self._tokens:,} tokens, this one {tokens:,}, and"
                f" the limit is {self._most_tokens:,}"
            )

    def _check_time(self, own: int, remaining: float) -> None:
        seconds = self._estimator.answer(own, self._tokens)
        # A longer queue makes no more answers, only later ones.
        if seconds > remaining or self._estimator.wait(self._tokens) > remaining * _WAITING_SHARE:
            raise self._overload(
                f"an answer would take about {seconds:.1f} s, and the call's deadline is in"
                f" {remaining:.1f} s"
            )

    def _overload(self, message: str) -> OverloadError:
        """Asks to retry when half of what is in flight has had time to end."""
        wait = self._estimator.wait(self._tokens) / 2
        delay = min(max(self._retry_delay, wait), _LONGEST_RETRY)
        return OverloadError(message, retry_delay=delay)

    def _passes(self, tenant: str) -> bool:
        """Whether another tenant has more than twice what all the others have."""
        if not self._of_tenants:
            return False
        [(most, tokens)] = self._of_tenants.most_common(1)
        return most != tenant and tokens > _DOMINATES * (self._tokens - tokens)

    def _change(self, calls: int, tokens: int, tenant: str) -> None:
        self._calls += calls
        self._tokens += tokens
        self._of_tenants[tenant] += tokens
        if not self._of_tenants[tenant]:
            del self._of_tenants[tenant]
        metrics.IN_FLIGHT.set(self._calls)
        metrics.TOKENS_IN_FLIGHT.set(self._tokens)
