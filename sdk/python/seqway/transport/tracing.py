"""The span of each call, by OpenTelemetry's API; a no-op unless the program sets up an SDK."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

Metadata = tuple[tuple[str, str], ...]

_tracer = trace.get_tracer("seqway.client")


@contextmanager
def unary_span(path: str, address: str, metadata: Metadata) -> Iterator[Metadata]:
    """The span of a call within the block; yields the metadata to send with the call."""
    span = _start(path, address)
    try:
        yield metadata_within(span, metadata)
    except grpc.RpcError as failure:
        _end(span, failure.code())
        raise
    except BaseException:
        _end(span, grpc.StatusCode.CANCELLED)
        raise
    _end(span, grpc.StatusCode.OK)


class StreamSpan:
    """The span of a call that outlives the method that started it."""

    def __init__(self, path: str, address: str, metadata: Metadata) -> None:
        self._span = _start(path, address)
        self.metadata = metadata_within(self._span, metadata)

    def follow(self, call: Any) -> None:
        """Ends the span with a blocking call."""
        if not call.add_callback(lambda: _end(self._span, call.code())):
            _end(self._span, call.code())

    def follow_async(self, call: Any) -> None:
        """Ends the span with a call of asyncio."""
        call.add_done_callback(lambda done: _end(self._span, _code_of(done)))


def metadata_within(span: Span, metadata: Metadata) -> Metadata:
    """The metadata with the trace context of the span."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier, trace.set_span_in_context(span))
    return (*metadata, *((key.lower(), value) for key, value in carrier.items()))


def _start(path: str, address: str) -> Span:
    service, _, method = path.removeprefix("/").partition("/")
    return _tracer.start_span(
        f"{service}/{method}",
        kind=SpanKind.CLIENT,
        attributes={
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "server.address": address,
        },
    )


def _end(span: Span, code: grpc.StatusCode) -> None:
    number: int = code.value[0]
    span.set_attribute("rpc.grpc.status_code", number)
    if code is not grpc.StatusCode.OK:
        span.set_status(Status(StatusCode.ERROR, code.name))
    span.end()


def _code_of(call: Any) -> grpc.StatusCode:
    """The code of a call that is done: its coroutine has nothing to wait for."""
    try:
        call.code().send(None)
    except StopIteration as end:
        code: grpc.StatusCode = end.value
        return code
    raise AssertionError("the call is not done")
