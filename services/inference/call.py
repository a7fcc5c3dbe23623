"""One call under way: what the engine says goes to the documents, and into the account."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.inference.document import Document, TextEnd
from services.inference.engine import Reply
from services.inference.errors import (
    DeadlineError,
    ModelFailedError,
    ModelNotReadyError,
    SeqwayError,
)
from services.inference.events import Delta, End, Event, FinishReason, Refused, TooLong
from services.inference.window import Window

# The engine counts milliseconds on a clock of its own.
_CLOCK_SLACK = 0.25


@dataclass(slots=True)
class Summary:
    """The closing event of a call; times are in seconds, from the call's arrival."""

    variant: str
    finish_reason: FinishReason = FinishReason.EOS
    input_tokens: int = 0
    output_tokens: int = 0
    queue: float = 0.0
    first_token: float = math.inf
    total: float = 0.0


@dataclass(slots=True)
class Call:
    """Applies what the engine says to the documents, and keeps the account."""

    variant: str
    window: Window
    deadline: float
    retry_delay: float
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    ended: int = 0
    summary: Summary = field(init=False)

    def __post_init__(self) -> None:
        self.summary = Summary(self.variant)

    def take(self, replies: Sequence[Reply]) -> dict[Document, None]:
        """Applies replies, and returns the documents that they changed, in order."""
        touched: dict[Document, None] = {}
        for reply in replies:
            for event in reply.events:
                document = self._apply(reply.request_id, event)
                if document is not None:
                    touched[document] = None
            if reply.final:
                self.window.close(reply.request_id)
        return touched

    def add(self, end: TextEnd) -> None:
        """Counts a text that is done."""
        self.ended += 1
        self.summary.finish_reason = max(self.summary.finish_reason, end.finish_reason)
        self.summary.input_tokens += end.input_tokens
        self.summary.output_tokens += end.output_tokens

    def close(self) -> Summary:
        """The account of the call."""
        self.summary.total = self._elapsed()
        self.summary.first_token = min(self.summary.first_token, self.summary.total)
        return self.summary

    def _apply(self, request_id: str, event: Event) -> Document | None:
        if isinstance(event, Delta):
            row = self.window.row(request_id, event.index)
            row.document.append(row, event.text)
            self._note_first_token()
            return row.document
        if isinstance(event, End):
            return self._end(request_id, event)
        if isinstance(event, TooLong):
            row = self.window.row(request_id, event.index)
            self.window.settle(request_id, event.index)
            self.window.put_first(row.document.split(row, event))
            return None
        if isinstance(event, Refused):
            self._refuse(request_id, event)
        return None

    def _end(self, request_id: str, end: End) -> Document:
        if end.finish_reason is FinishReason.CANCELLED:
            raise self._cancelled()
        row = self.window.row(request_id, end.index)
        self.window.settle(request_id, end.index)
        row.document.finish(row, end)
        self.summary.queue = max(self.summary.queue, end.queue_ms / 1000)
        self._note_first_token((end.total_ms - end.first_token_ms) / 1000)
        return row.document

    def _cancelled(self) -> SeqwayError:
        """Nobody here cancelled: either the engine saw the deadline pass, or it is going down."""
        if asyncio.get_running_loop().time() > self.deadline - _CLOCK_SLACK:
            return DeadlineError("the deadline passed before the translation was done")
        return ModelNotReadyError(f"{self.variant} stopped before the translation was done")

    def _refuse(self, request_id: str, refusal: Refused) -> None:
        if refusal.reason != "QUEUE_FULL":
            raise ModelFailedError(f"the engine refused the request ({refusal.reason})")
        message = "the model's waiting line is full"
        self.window.refuse(request_id, message, self.retry_delay)

    def _note_first_token(self, ago: float = 0.0) -> None:
        """Notes that a token came now, or some seconds `ago`."""
        self.summary.first_token = min(self.summary.first_token, self._elapsed() - ago)

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self.started
