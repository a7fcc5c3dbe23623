"""How much work the calls in flight are, as it was with those before them.  No I/O here."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

# Of French and English text: a quarter of a token a character is read, as much is written.
_FIRST_TOKENS_PER_CHARACTER = 0.5
_WEIGHT = 0.05
# What waiting was like is forgotten: e^-1 of it is left after so many seconds without a call.
_MEMORY_SECONDS = 5.0
# Half of all calls take longer than the mean; with two deviations more, few do.
_DEVIATIONS = 2.0
# How much longer than it did wait a call would have waited that was given up: nobody knows.
_UNANSWERED = 1.5


@dataclass(frozen=True, slots=True)
class Work:
    """What a call turned out to be; times are in seconds."""

    characters: int
    tokens: int
    waited: float
    ran: float
    ahead: int


class Load:
    """Estimates tokens from characters, and the time of an answer from the tokens in flight.

    The engine tells how long the rows of a call waited for a slot.  A call that has as many tokens
    ahead of it as they had waits as long; while no row waits, nor will the next.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens_per_character = _FIRST_TOKENS_PER_CHARACTER
        self._wait_per_token = 0.0
        self._run = 0.0
        self._deviation = 0.0
        self._noted = clock()

    def tokens(self, characters: int) -> int:
        """Tokens that texts of so many characters are expected to be, read and written."""
        return math.ceil(characters * self._tokens_per_character)

    def wait(self, ahead: int) -> float:
        """Seconds that a call waits for a slot behind so many tokens."""
        age = self._clock() - self._noted
        return self._wait_per_token * ahead * math.exp(-age / _MEMORY_SECONDS)

    def answer(self, ahead: int) -> float:
        """Seconds in which a call behind so many tokens is most likely answered.

        0 while calls have not had to wait: then nothing is known of the wait.
        """
        wait = self.wait(ahead)
        if wait <= self._run / 10:
            return 0.0
        return wait + self._run + _DEVIATIONS * self._deviation

    def note(self, work: Work) -> None:
        """Learns from a call that was answered."""
        if work.characters:
            found = work.tokens / work.characters
            self._tokens_per_character += _WEIGHT * (found - self._tokens_per_character)
            self._run += _WEIGHT * (work.ran - self._run)
        self._note_error(work.waited + work.ran, work.ahead)
        self._note_wait(work.waited, work.ahead)

    def note_unanswered(self, seconds: float, ahead: int) -> None:
        """Learns from a call that was given up after some seconds: it would have waited longer."""
        least = _UNANSWERED * seconds
        if least > self.wait(ahead):
            self._note_error(least, ahead)
            self._note_wait(least, ahead)

    def _note_error(self, seconds: float, ahead: int) -> None:
        """How far off the estimate is, as for the retransmissions of TCP (RFC 6298)."""
        error = abs(seconds - self._run - self.wait(ahead))
        self._deviation += _WEIGHT * (error - self._deviation)

    def _note_wait(self, seconds: float, ahead: int) -> None:
        if not ahead:
            return
        now = self._clock()
        faded = math.exp(-(now - self._noted) / _MEMORY_SECONDS)
        weight = 1 - (1 - _WEIGHT) * faded
        self._wait_per_token += weight * (seconds / ahead - self._wait_per_token)
        self._noted = now
