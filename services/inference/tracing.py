"""Trace context on its way from a call to what the engine does for it, in W3C's form.

Only OpenTelemetry's API is used here: without a provider, which an entry sets up, every span is a
no-op.  Spans hold numbers, names and ids; never a text, nor an exception, which may quote one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.inference.errors import ServiceError
from services.inference.rows.account import Account

tracer = trace.get_tracer("seqway")

_KEY = "traceparent"
_W3C = TraceContextTextMapPropagator()
_CONTENTS = context.create_key("seqway-contents")


def traceparent_of(where: Context | None = None) -> str:
    """The `traceparent` of a context, the current one by default; "" when it has no span."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, where)
    return carrier.get(_KEY, "")


def context_of(traceparent: str) -> Context:
    """The context that a `traceparent` speaks of; without a span when it is malformed."""
    return _W3C.extract({_KEY: traceparent}, Context())


@contextmanager
def contents_within(parents: Sequence[Context]) -> Iterator[None]:
    """Makes what models do for content `i` of the calls made meanwhile part of `parents[i]`."""
    token = context.attach(context.set_value(_CONTENTS, parents))
    try:
        yield
    finally:
        context.detach(token)


class ModelSpan:
    """The span of what a model does for one call, from its first row to its last.

    It never becomes the current one: it may live in a generator, whose consumer shares its context.
    """

    def __init__(self, variant: str) -> None:
        self._span = tracer.start_span(
            "triton", kind=SpanKind.CLIENT, attributes={"seqway.model": variant}
        )
        self._parents = context.get_value(_CONTENTS)
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


def fail(span: Span, error: BaseException) -> None:
    """Notes why what a span stands for failed, without the error's words."""
    reason = error.reason if isinstance(error, ServiceError) else type(error).__name__
    span.set_attribute("seqway.reason", reason)
    span.set_status(Status(StatusCode.ERROR, reason))


def _sampled(where: Context) -> str:
    span = trace.get_current_span(where).get_span_context()
    return traceparent_of(where) if span.is_valid and span.trace_flags.sampled else ""
