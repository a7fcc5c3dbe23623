"""What is recorded of a call to a model: what it cost, and its span."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from engine.contract.events import End, FinishReason, worst
from services.inference.tracing import CONTENTS, fail, traceparent_of, tracer


@dataclass(slots=True)
class Account:
    """The closing word on a call; times are in seconds, from the call's arrival."""

    variant: str
    warnings: list[str] = field(default_factory=list)
    finish_reason: FinishReason = FinishReason.EOS
    input_tokens: int = 0
    output_tokens: int = 0
    queue: float = 0.0
    first_token: float = math.inf
    total: float = 0.0
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    parts: Sequence["Account"] = ()

    @classmethod
    def joined(cls, parts: Sequence["Account"]) -> "Account":
        """That of a call whose texts went to one variant after the other; one or more `parts`."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        flat = [each for part in parts for each in part.parts or [part]]
        account = cls(", ".join(dict.fromkeys(each.variant for each in parts)), parts=flat)
        account.started, account.first_token = first.started, first.first_token
        for each in parts:
            account.warnings += each.warnings
            account.finish_reason = worst(account.finish_reason, each.finish_reason)
            account.input_tokens += each.input_tokens
            account.output_tokens += each.output_tokens
            account.queue = max(account.queue, each.queue)
        return account.close()

    def note_end(self, end: End) -> None:
        """Counts a generation that has ended."""
        self.finish_reason = worst(self.finish_reason, end.finish_reason)
        self.input_tokens += end.input_tokens
        self.output_tokens += end.output_tokens
        self.queue = max(self.queue, end.queue_ms / 1000)
        self.note_token((end.total_ms - end.first_token_ms) / 1000)

    def note_move(self, variant: str) -> None:
        """Notes that another variant goes on, which is `variant` from now on."""
        self.warnings.append(f"{self.variant} stopped: {variant} completed the answer")
        self.variant = variant

    def note_token(self, ago: float = 0.0) -> None:
        """Notes that a token came now, or some seconds `ago`."""
        self.first_token = min(self.first_token, max(0.0, self._elapsed() - ago))

    def close(self) -> Self:
        """Notes the end of the call."""
        self.total = self._elapsed()
        self.first_token = min(self.first_token, self.total)
        return self

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self.started


class ModelSpan:
    """The span of what a model does for one call, from its first row to its last.

    It never becomes the current one: it may live in a generator, whose consumer shares its context.
    """

    def __init__(self, variant: str) -> None:
        self._span = tracer.start_span(
            "triton", kind=SpanKind.CLIENT, attributes={"seqway.model": variant}
        )
        self._parents = context.get_value(CONTENTS)
        self._rows = 0

    def traceparents(self, contents: Sequence[int]) -> list[str]:
        """What to send with rows of these contents; empty when none of it is sampled."""
        self._rows += len(contents)
        if self._parents is None:
            own = _sampled(trace.set_span_in_context(self._span, Context()))
            return [own] * len(contents) if own else []
        assert isinstance(self._parents, Sequence)
        found = [_sampled(self._parents[content]) for content in contents]
        return found if any(found) else []

    def note(self, account: Account) -> None:
        """Notes what the call has cost."""
        self._set("input_tokens", account.input_tokens)
        self._set("output_tokens", account.output_tokens)
        self._set("queue_ms", round(account.queue * 1000, 3))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._set("rows", self._rows)
        if isinstance(error, Exception):
            fail(self._span, error)
        self._span.end()

    def _set(self, name: str, value: float) -> None:
        self._span.set_attribute(f"seqway.{name}", value)


def _sampled(where: Context) -> str:
    span = trace.get_current_span(where).get_span_context()
    return traceparent_of(where) if span.is_valid and span.trace_flags.sampled else ""
