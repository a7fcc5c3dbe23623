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


@dataclass(frozen=True, slots=True)
class Work:
    """What a call turned out to be."""

    characters: int
    tokens: int
    waited: float
    ahead: int


class Load:
    """Estimates tokens from characters, and the wait from the tokens in flight.

    The engine tells how long the rows of a call waited for a slot.  A call that has as many tokens
    ahead of it as they had waits as long; while no row waits, nor will the next.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens_per_character = _FIRST_TOKENS_PER_CHARACTER
        self._wait_per_token = 0.0
        self._noted = clock()

    def tokens(self, characters: int) -> int:
        """Tokens that texts of so many characters are expected to be, read and written."""
        return math.ceil(characters * self._tokens_per_character)

    def wait(self, ahead: int) -> float:
        """Seconds that a call waits behind so many tokens."""
        age = self._clock() - self._noted
        return self._wait_per_token * ahead * math.exp(-age / _MEMORY_SECONDS)

    def note(self, work: Work) -> None:
        """Learns from a call that has ended."""
        if work.characters:
            found = work.tokens / work.characters
            self._tokens_per_character += _WEIGHT * (found - self._tokens_per_character)
        if work.ahead:
            now = self._clock()
            faded = math.exp(-(now - self._noted) / _MEMORY_SECONDS)
            weight = 1 - (1 - _WEIGHT) * faded
            self._wait_per_token += weight * (work.waited / work.ahead - self._wait_per_token)
            self._noted = now
