"""Tells an encoder that is busy from one that is dead."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Pulse:
    """Knows which models have work, and when each gave its last sign of life.

    A probe waits in Triton's line behind the texts of calls, which can take seconds: a model with
    work may be silent for `patience` seconds.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._working: Counter[str] = Counter()
        self._last_sign: dict[str, float] = {}

    @contextmanager
    def working(self, model: str) -> Iterator[None]:
        """Notes that the model has work meanwhile."""
        self._working[model] += 1
        try:
            yield
        finally:
            self._working[model] -= 1

    def note(self, model: str) -> None:
        """Notes that the model has answered."""
        self._last_sign[model] = asyncio.get_running_loop().time()

    def is_excused(self, model: str) -> bool:
        """Whether a model that does not answer a probe may be busy."""
        last = self._last_sign.get(model)
        if last is None or not self._working[model]:
            return False
        return asyncio.get_running_loop().time() - last < self._patience
