"""A caller's row in the front: what its caller has of the answer, whichever group makes it."""

import time
from dataclasses import dataclass, field

from msgspec import structs

from engine.contract.events import Delta, End, FinishReason
from engine.runtime.request import Row

_BROKEN_OFF = (FinishReason.CANCELLED, FinishReason.ERROR)

DIVERGED = (
    "the process that made this answer ended after a part of it was sent, and the answer that "
    "another one made begins differently: ask again"
)


@dataclass(eq=False)
class RoutedRow:
    """`begun` says whether the group that has it had its encoder read it; `deaths` counts groups.

    An answer is the same in any group, so a row that is run again says its caller's part once more,
    which is dropped.
    """

    row: Row
    begun: bool = False
    deaths: int = 0
    cancelled: bool = False
    _sent: list[str] = field(default_factory=list)
    _repeated: str = ""

    def restart(self) -> None:
        """It is run from the beginning."""
        self.begun = False
        self._repeated = "".join(self._sent)
        self._sent = [self._repeated]

    def relay(self, event: Delta | End) -> Delta | End | None:
        """What the caller is told; None: nothing, it has that. An error where answers differ."""
        repeated = self._repeated
        known = min(len(repeated), len(event.text))
        self._repeated = repeated[known:]
        is_whole = isinstance(event, End) and event.finish_reason not in _BROKEN_OFF
        if event.text[:known] != repeated[:known] or (is_whole and self._repeated):
            return self.closed(FinishReason.ERROR, DIVERGED)
        text = event.text[known:]
        if not text and isinstance(event, Delta):
            return None
        self._sent.append(text)
        return structs.replace(event, text=text) if known else event

    def closed(self, reason: FinishReason, message: str = "", *, lost: bool = False) -> End:
        """The end of a row that no group ends."""
        waited = round(1000 * max(0.0, time.monotonic() - self.row.plan.arrived), 3)
        return End(
            self.row.index,
            reason,
            self.row.length,
            queue_ms=waited,
            total_ms=waited,
            message=message,
            lost=lost,
        )

    def is_unasked(self, event: End, now: float) -> bool:
        """Whether a group gave it up though neither its caller nor its deadline wanted that."""
        is_cancelled = event.finish_reason is FinishReason.CANCELLED
        return is_cancelled and not self.cancelled and now < self.row.plan.deadline
