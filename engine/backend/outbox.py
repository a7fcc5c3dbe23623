"""What the engine has made, on its way to Triton: at once, or together with what follows."""

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engine.contract.events import Event

HOLD_SECONDS = 0.03
"""How long an answer that can wait does so; each response costs as much as some rows of a step."""


_Address = tuple[str, int]


@dataclass(frozen=True)
class Message:
    """Events of one request; `last` closes it, and what `can_wait` is sent with what follows."""

    key: str
    sender: Any
    events: list[Event]
    last: bool
    can_wait: bool = False

    def joined(self, later: "Message") -> "Message":
        """One message of this and what follows."""
        return replace(later, events=[*self.events, *later.events])


class Outbox:
    """Messages in order, of each request.

    Those that can wait are joined for `HOLD_SECONDS`, all others with what has come while the one
    before them was sent: Triton takes one response at a time.
    """

    def __init__(self, respond: Callable[[Message], None]) -> None:
        self._respond = respond
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._ready: dict[_Address, Message] = {}
        self._held: dict[_Address, Message] = {}
        self._due = 0.0
        self._closed = False

    def put(self, message: Message) -> None:
        """Never blocks; for any thread."""
        self._messages.put(message)

    def close(self) -> None:
        """Ends `run` when all is sent."""
        self._messages.put(None)

    def run(self) -> None:
        """Sends until it is closed; for a thread of its own."""
        while not self._closed or self._ready:
            self._collect()
            if self._ready:
                self._respond(self._ready.pop(next(iter(self._ready))))

    def _collect(self) -> None:
        """Sorts what has come; waits for something when there is nothing to send."""
        while True:
            if self._held and (self._closed or time.monotonic() >= self._due):
                self._ready |= self._held
                self._held = {}
            try:
                message = self._messages.get(timeout=self._patience())
            except queue.Empty:
                if self._ready or self._closed:
                    return
                continue
            if message is None:
                self._closed = True
            else:
                self._sort(message)

    def _patience(self) -> float | None:
        if self._ready or self._closed:
            return 0.0
        return max(0.0, self._due - time.monotonic()) if self._held else None

    def _sort(self, message: Message) -> None:
        address = (message.key, id(message.sender))  # clients may use a key twice
        for earlier in (self._ready, self._held):
            if address in earlier:
                message = earlier[address].joined(message)
        if address in self._ready:
            self._ready[address] = message
        elif message.last or not message.can_wait:
            self._held.pop(address, None)
            self._ready[address] = message
        else:
            self._due = self._due if self._held else time.monotonic() + HOLD_SECONDS
            self._held[address] = message
