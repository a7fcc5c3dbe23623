"""A caller of the engine, as the service is one."""

import queue

from engine.contract.events import End, Event
from engine.contract.options import Options
from engine.runtime.engine import Engine
from engine.runtime.request import Request

SECONDS = 60.0
"""How long a caller waits for what comes next."""


class Caller:
    """Sends requests and collects what comes back."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.inbox: queue.SimpleQueue[tuple[list[Event], bool]] = queue.SimpleQueue()
        self.events: list[Event] = []

    def send(self, texts: list[str], name: str = "call", **options: object) -> "Caller":
        sink = lambda events, last: self.inbox.put((events, last))  # noqa: E731
        self.engine.submit(Request(name, texts, Options(**{"stream": True, **options}), sink))
        return self

    def next(self) -> list[Event]:
        events, _ = self.inbox.get(timeout=SECONDS)
        self.events += events
        return events

    def finish(self) -> list[Event]:
        while True:
            events, last = self.inbox.get(timeout=SECONDS)
            self.events += events
            if last:
                return self.events


def ends_of(events: list[Event]) -> list[End]:
    """The closing events, in the order of the texts."""
    return sorted((e for e in events if isinstance(e, End)), key=lambda end: end.index)
