"""Sends running rows' new text to those who stream it, at a bounded rate."""

import math
from collections.abc import Sequence

from engine.contract.events import Delta, Event
from engine.runtime.batching.row import Row
from engine.runtime.decoding.selection import Ints
from engine.runtime.request import Request


class Streams:
    """Sends at most `rate` messages a second; each stream's first text is sent at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def due(self, rows: Sequence[Row], now: float) -> list[Row]:
        """Those of the streaming `rows` whose request may be sent a message."""
        interval = self._interval(rows)
        return [row for row in rows if now - row.request.last_flush >= interval]

    def patience(self, rows: Sequence[Row], now: float) -> float:
        """Seconds until a message of the streaming `rows` may be sent; infinite without any."""
        last = min((row.request.last_flush for row in rows), default=math.inf)
        return max(0.0, last + self._interval(rows) - now)

    def send(self, rows: Sequence[Row], tokens: Sequence[Ints], now: float) -> None:
        """Sends the text of rows that are due that `tokens`, all that is certain, add to it."""
        events: dict[int, tuple[Request, list[Event]]] = {}
        for row, certain in zip(rows, tokens, strict=True):
            if text := row.progress.new_text(certain[row.progress.sent :].tolist()):
                events.setdefault(id(row.request), (row.request, []))[1].append(
                    Delta(row.index, text)
                )
        for request, batch in events.values():
            request.last_flush = now
            request.emit(batch)

    def _interval(self, rows: Sequence[Row]) -> float:
        return len({id(row.request) for row in rows}) / self._rate
