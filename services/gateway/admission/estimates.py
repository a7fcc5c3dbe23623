"""How much work the calls in flight are, judged by those before them.  No I/O here."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.admission.forecast import Forecast

# Of French and English text: a quarter of a token a character is read, as much is written.
_FIRST_CHARACTERS, _FIRST_TOKENS = 1000.0, 500.0
_WEIGHT = 0.05
# A row waits for the step that is under way, however little there is to do.
_STEP_SECONDS = 0.05
# Short calls beside each other tell little of long queues: so many tokens wait for nothing.
_FREE_TOKENS = 1000.0
# The measured waits are forgotten: e^-1 of them is left after so many seconds without a call.
_MEMORY_SECONDS = 5.0
# How much longer than it did an abandoned call would have waited: nobody knows.
_UNANSWERED = 1.5


@dataclass(frozen=True, slots=True)
class Work:
    """What a call turned out to be; times are in seconds."""

    characters: int
    tokens: int
    waited: float
    total: float
    ahead: int


class WorkEstimator:
    """Estimates tokens from characters, and the time of an answer from the tokens in flight.

    The engine reports how long the rows of a call waited for a slot.  A call that has as many
    tokens ahead of it as they had waits as long; while no row waits, nor will the next.  `Forecast`
    predicts how long the whole call takes, which depends on its own length as well.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._characters, self._tokens = _FIRST_CHARACTERS, _FIRST_TOKENS
        self._waited = self._ahead = 0.0
        # After the wait, of answered calls alone; `Forecast` learns from abandoned ones as well.
        self._run_seconds = 0.0
        self._noted = clock()
        self._forecast = Forecast(clock)

    def tokens(self, characters: int) -> int:
        """Tokens that texts of so many characters are expected to be, read and written."""
        return math.ceil(characters * self._tokens / self._characters)

    def wait(self, ahead: int) -> float:
        """Seconds that a call waits for a slot behind so many tokens."""
        age = self._clock() - self._noted
        per_token = self._waited / (self._ahead + _FREE_TOKENS)
        return per_token * ahead * math.exp(-age / _MEMORY_SECONDS)

    def answer(self, tokens: int, ahead: int) -> float:
        """Seconds within which a call of so many tokens is answered behind so many others.

        0 while nothing is known of calls like it.
        """
        return self._forecast.bound(tokens, ahead)

    def note(self, work: Work) -> None:
        """Learns from a call that was answered."""
        if work.characters:
            self._characters += work.characters - _WEIGHT * self._characters
            self._tokens += work.tokens - _WEIGHT * self._tokens
            self._run_seconds += _WEIGHT * (work.total - work.waited - self._run_seconds)
            self._forecast.note(self.tokens(work.characters), work.ahead, work.total)
        self._note_wait(work.waited, work.ahead)

    def note_unfinished(
        self, characters: int, seconds: float, ahead: int, *, has_begun: bool
    ) -> None:
        """Learns from a call that was abandoned after some seconds: it would have taken longer.

        It may have waited all the time, unless the first of its answer had gone out.
        """
        waited = _UNANSWERED * (seconds - self._run_seconds)
        if not has_begun and waited > self.wait(ahead):
            self._note_wait(waited, ahead)
        tokens = self.tokens(characters)
        if seconds > self._forecast.seconds(tokens, ahead):
            self._forecast.note(tokens, ahead, _UNANSWERED * seconds)

    def _note_wait(self, seconds: float, ahead: int) -> None:
        if not ahead:
            return
        now = self._clock()
        kept = (1 - _WEIGHT) * math.exp((self._noted - now) / _MEMORY_SECONDS)
        self._waited = kept * self._waited + max(0.0, seconds - _STEP_SECONDS)
        self._ahead = kept * self._ahead + ahead
        self._noted = now
