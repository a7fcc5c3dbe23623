"""Times the native session: steps of so many rows at a position, and passes of the encoder."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.model.config import ModelConfig
from engine.parallel.processor.reference import Stored, write_reference
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.native_session import NativeSession

STEPS = 4
"""That are made in a call, as the engine makes several."""
_LEAST_TIMINGS, _SECONDS, _FOREVER = 3, 0.04, 600.0


class Stopwatch:
    """A session that is timed, on one lane; it is of a model whose answers do not end."""

    def __init__(self, session: NativeSession) -> None:
        self._session = session

    def step_seconds(self, rows: int, source: int, position: float) -> float:
        """Of a step in which so many rows attend to `position` tokens of their answers."""
        call = self.bunch(rows, source, position)
        return _least(call) / STEPS

    def bunch(self, rows: int, source: int, position: float) -> Callable[[], None]:
        """A call that makes `STEPS` such steps, around that position."""
        session = self._session
        slots = session.slots(rows)
        longest = session.manifest.max_target_tokens
        cross = session.encode([_source(source)] * rows)
        slots.admit(cross, [source] * rows, [longest] * rows)
        at = max(0, round(position - (STEPS + 1) / 2))
        if at:  # caches hold numbers up to where they are read
            session.run(slots, at, _FOREVER, Interrupt())

        def run() -> None:
            slots.positions[:rows] = at
            session.run(slots, STEPS, _FOREVER, Interrupt())

        return run

    def encoder_seconds(self, texts: int, source: int) -> float:
        """Of encoding so many texts together."""
        return _least(lambda: self._session.encode([_source(source)] * texts))

    def siblings(self, count: int) -> "list[Stopwatch]":
        """So many lanes of the same weights, this one among them."""
        return [self, *(Stopwatch(self._session.sibling()) for _ in range(count - 1))]


@contextmanager
def stopwatch(config: ModelConfig, stored: Stored) -> Iterator[Stopwatch]:
    """Of a random model of these sizes.

    Raises:
        NativeMissingError: the native library was not built.

    """
    with tempfile.TemporaryDirectory(prefix="seqway-reference-") as folder:
        manifest = write_reference(Path(folder), config, stored)
        yield Stopwatch(NativeSession(Path(folder), manifest))


def _least(call: Callable[[], object]) -> float:
    """The seconds of a call: the least of as many as there is time for, and of three at least.

    They are the thread's own: what others take of a core is not the core's speed.
    """
    call()  # memory is taken, and weights are read
    timings: list[float] = []
    while len(timings) < _LEAST_TIMINGS or sum(timings) < _SECONDS:
        began = time.thread_time()
        call()
        timings.append(time.thread_time() - began)
    return min(timings)


def _source(length: int) -> list[int]:
    return [2 + index % 100 for index in range(length)]
