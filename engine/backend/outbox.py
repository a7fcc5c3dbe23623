"""What the engine has made, on its way to Triton: at once, or together with what follows."""

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engine.runtime.request import Event

HOLD_SECONDS = 0.03
"""How long an answer that can wait does so; each response costs as much as some rows of a step."""


@dataclass(frozen=True)
class Message:
    """Events of one request; `last` closes it, and what `can_wait` is sent with what follows."""

    key: str
    sender: Any
    events: list[Event]
    last: bool
    can_wait: bool = False


class Outbox:
    """Messages in order, of each request; those that can wait are joined for `HOLD_SECONDS`."""

    def __init__(self, respond: Callable[[Message], None]) -> None:
        self._respond = respond
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

    def put(self, message: Message) -> None:
        """Never blocks; for any thread."""
        self._messages.put(message)

    def close(self) -> None:
        """Ends `run` when all is sent."""
        self._messages.put(None)

    def run(self) -> None:
        """Sends until it is closed; for a thread of its own."""
        held: dict[str, Message] = {}
        due = 0.0
        while True:
            if held and time.monotonic() >= due:
                self._respond_all(held)
            try:
                timeout = max(0.0, due - time.monotonic()) if held else None
                message = self._messages.get(timeout=timeout)
            except queue.Empty:
                continue
            if message is None:
                self._respond_all(held)
                return
            if message.key in held:
                message = replace(message, events=[*held.pop(message.key).events, *message.events])
            if message.last or not message.can_wait:
                self._respond(message)
            else:
                due = due if held else time.monotonic() + HOLD_SECONDS
                held[message.key] = message

    def _respond_all(self, held: dict[str, Message]) -> None:
        for message in held.values():
            self._respond(message)
        held.clear()
