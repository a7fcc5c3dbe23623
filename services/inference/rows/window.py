"""The rows of one call that wait for the engine, and those that are with it."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from engine.contract.events import End, TooLong
from engine.contract.options import Options
from services.inference.errors import ModelFailedError, OverloadError
from services.inference.rows.account import ModelSpan
from services.inference.rows.engine import EngineSession

Seed = int | list[int] | None


class CallRow:
    """A text that the engine is to work on, and what it has said about it.

    `content` is the index of what it belongs to among the contents of the call.
    """

    def __init__(self, content: int, text: str, generation: Options) -> None:
        self.content = content
        self.text = text
        self.generation = generation
        self.said = ""
        self.is_read = False
        self.end: End | None = None
        self.refusal: TooLong | None = None

    def append(self, text: str) -> None:
        """Takes more of the answer."""
        self.said += text

    def finish(self, end: End) -> None:
        """Takes the end, which is neither ERROR nor CANCELLED."""
        self.append(end.text)
        self.end = end

    def divide(self, refusal: TooLong) -> Sequence["CallRow"]:
        """The rows to run in its place, since it is too long; none if its owner adds them later."""
        self.refusal = refusal
        return ()

    def take(self) -> str:
        """What it has said since it was last asked."""
        text, self.said = self.said, ""
        self.is_read |= bool(text)
        return text

    def begin_anew(self) -> bool:
        """Forgets what it has said; False where somebody has read of it."""
        if not self.is_read:
            self.said = ""
        return not self.is_read


def row_seed(seed: Seed, *place: int) -> Seed:
    """The seed of the row at a place of the call, such as (content, start of its source).

    Rows of one call must not draw the same numbers, and a row's must not depend on what else is in
    its request.  The row at (0, 0, ...) has the seed itself.
    """
    if seed is None or not any(place):
        return seed
    key = blake2b(repr((seed, *place)).encode(), digest_size=8)
    return int.from_bytes(key.digest(), "little")


@dataclass(slots=True)
class _Request:
    """The rows by index, None where one is settled, and how many are not."""

    rows: list[CallRow | None]
    open: int


class RowWindow:
    """Bounds how many rows of one call are with the engine, so no document floods its queue."""

    def __init__(self, session: EngineSession, size: int, span: ModelSpan) -> None:
        self._session = session
        self._span = span
        self._waiting: deque[CallRow] = deque()
        self._requests: dict[str, _Request] = {}
        self._prefixes: dict[CallRow, str] = {}
        self._in_flight = 0
        self._size = size

    def add(self, rows: Iterable[CallRow]) -> None:
        """Adds rows behind those that wait."""
        self._waiting.extend(rows)

    def add_first(self, rows: Sequence[CallRow]) -> None:
        """Adds rows that go before those that wait."""
        self._waiting.extendleft(reversed(rows))

    def fill(self) -> None:
        """Sends waiting rows, in requests of a quarter of the window or more where they can be.

        Rows of one request have the same options.
        """
        while self._waiting:
            room = self._size - self._in_flight
            if room < min(len(self._waiting), max(1, self._size // 4)):
                return
            groups: dict[Options, list[CallRow]] = {}
            for _ in range(min(room, len(self._waiting))):
                row = self._waiting.popleft()
                groups.setdefault(self._generation(row), []).append(row)
            for generation, rows in groups.items():
                self._send(rows, generation)

    def row(self, request_id: str, index: int) -> CallRow:
        """The row that the engine speaks of; ModelFailedError when there is none."""
        request = self._requests.get(request_id)
        row = request.rows[index] if request and 0 <= index < len(request.rows) else None
        if row is None:
            raise ModelFailedError("the engine answered for a text that it was not sent")
        return row

    def settle(self, request_id: str, index: int) -> None:
        """Notes that a row is done with."""
        request = self._requests[request_id]
        request.rows[index] = None
        request.open -= 1
        self._in_flight -= 1
        if not request.open:
            del self._requests[request_id]
            self._session.release(request_id)

    def refuse(self, request_id: str, message: str, retry_delay: float) -> None:
        """Takes back the rows of a refused request, and sends no more than the engine has now.

        OverloadError when it has none.
        """
        rows = self.take_back(request_id)
        if not self._in_flight:
            raise OverloadError(message, retry_delay=retry_delay)
        self._size = self._in_flight
        self.add_first(rows)

    def take_back(self, request_id: str) -> list[CallRow]:
        """The rows of a request that are not settled, which is done with."""
        request = self._requests.pop(request_id, None)
        self._session.release(request_id)
        rows = [row for row in request.rows if row is not None] if request else []
        self._in_flight -= len(rows)
        return rows

    def move(self, session: EngineSession) -> list[CallRow]:
        """Goes on with another session; returns the rows that were with the one before."""
        rows = [row for request_id in list(self._requests) for row in self.take_back(request_id)]
        self._session = session
        return rows

    def begin_with(self, row: CallRow, prefix: str) -> None:
        """Has the answer of a row that is run again begin with these words."""
        self._prefixes[row] = prefix

    def close(self, request_id: str) -> None:
        """Notes the final response; ModelFailedError when a row of the request has no end."""
        if self._requests.pop(request_id, None) is not None:
            raise ModelFailedError(
                "the engine closed a request before all of its texts were answered"
            )

    def _generation(self, row: CallRow) -> Options:
        prefix = self._prefixes.get(row)
        return replace(row.generation, target_prefix=prefix) if prefix else row.generation

    def _send(self, rows: list[CallRow], generation: Options) -> None:
        traceparents = self._span.traceparents([row.content for row in rows])
        request_id = self._session.submit([row.text for row in rows], generation, traceparents)
        self._requests[request_id] = _Request(list(rows), len(rows))
        self._in_flight += len(rows)
