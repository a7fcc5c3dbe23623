"""A request to the engine."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.contract.events import Event
from engine.contract.options import Options

Sink = Callable[[list[Event], bool], None]
"""Takes the events of a request as they happen; the flag is true with the last ones."""


@dataclass(eq=False)
class Request:
    """Some texts, one row each. `sink` is called from the lanes' threads, one at a time."""

    id: str
    texts: Sequence[str]
    options: Options
    sink: Sink
    open_rows: int = field(default=0, init=False)
    last_flush: float = field(default=0.0, init=False)
    _emitting: threading.Lock = field(default_factory=threading.Lock, init=False)

    def emit(self, events: list[Event], ended: int = 0) -> None:
        """Hands events to the sink; `ended` rows end with them, and the last to end is told."""
        with self._emitting:
            self.open_rows -= ended
            self.sink(events, self.open_rows == 0)
