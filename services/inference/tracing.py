"""Trace context on its way from a call to what the engine does for it, in W3C's form.

Only OpenTelemetry's API is used here: without a provider, which an entry sets up, every span is a
no-op.  Spans hold numbers, names and ids; never a text, nor an exception, which may quote one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.inference.errors import ServiceError

tracer = trace.get_tracer("seqway")

_KEY = "traceparent"
_W3C = TraceContextTextMapPropagator()
# The parents of what models do for each of the contents of a call; see `contents_within`.
CONTENTS = context.create_key("seqway-contents")


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
    token = context.attach(context.set_value(CONTENTS, parents))
    try:
        yield
    finally:
        context.detach(token)


def fail(span: Span, error: BaseException) -> None:
    """Notes why what a span stands for failed, without the error's words."""
    reason = error.reason if isinstance(error, ServiceError) else type(error).__name__
    span.set_attribute("seqway.reason", reason)
    span.set_status(Status(StatusCode.ERROR, reason))
