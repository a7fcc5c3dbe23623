"""The spans of a model's work, made when it is done, from the times that its answers carry.

They hold numbers and names, never a text.  Nothing of it runs in the thread of a lane, but for one
note of its name when a row of a sampled trace ends.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from engine.contract.events import End, Event, FinishReason
from engine.contract.readings import Failure, Logits, Reading
from engine.contract.readings import Spans as Marked

FLUSH_SECONDS = 2.0

_W3C = TraceContextTextMapPropagator()


@dataclass(frozen=True)
class TracedRequest:
    """A request with texts that are part of sampled traces: the context of each, None for others.

    `arrived` is in nanoseconds since the epoch; the times of answers count from there.
    """

    parents: Sequence[Context | None]
    arrived: int
    lanes: dict[int, str] = field(default_factory=dict)

    def note_lane(self, events: Sequence[Event]) -> None:
        """Notes which lane ended rows; to be called in the lane's thread."""
        for event in events:
            if isinstance(event, End):
                self.lanes[event.index] = threading.current_thread().name

    def at(self, milliseconds: float) -> int:
        """Nanoseconds since the epoch of a time that counts from the arrival."""
        return self.arrived + int(milliseconds * 1_000_000)


class SpanRecorder:
    """Tells of the work of one instance of a model, over OTLP/HTTP by OpenTelemetry's variables."""

    def __init__(self, model: str, provider: TracerProvider | None = None) -> None:
        self._model = model
        self._provider = provider or _provider()
        self._tracer = self._provider.get_tracer("seqway.engine")

    def close(self) -> None:
        """Exports what is left; a collector that is away does not keep the process from its end."""
        flush = threading.Thread(target=self._provider.shutdown, name="flush-traces", daemon=True)
        flush.start()
        flush.join(FLUSH_SECONDS)

    def request(self, traceparents: Sequence[str]) -> TracedRequest | None:
        """A request that arrives now; None when none of its texts is sampled."""
        parents = [_sampled(each) for each in traceparents]
        if not any(parents):
            return None
        return TracedRequest(parents, time.time_ns())

    def generated(self, request: TracedRequest, events: Sequence[Event]) -> None:
        """Tells of the rows that end with these events."""
        for event in events:
            if isinstance(event, End) and (parent := request.parents[event.index]):
                self._generated(request, event, parent)

    def read(self, request: TracedRequest, results: Sequence[Reading], batch: int) -> None:
        """Tells of the elements of a request that has been read now, in a batch of so many."""
        ended = time.time_ns()
        for parent, result in zip(request.parents, results, strict=True):
            if parent is None:
                continue
            span = self._start("read", parent, request.arrived)
            span.set_attribute("seqway.batch", batch)
            if isinstance(result, Logits | Marked):
                span.set_attribute("seqway.windows", result.windows)
                span.set_attribute("seqway.input_tokens", result.input_tokens)
            elif isinstance(result, Failure):
                span.set_status(Status(StatusCode.ERROR, result.reason))
            span.end(ended)

    def _generated(self, request: TracedRequest, end: End, parent: Context) -> None:
        span = self._start("generate", parent, request.arrived)
        span.set_attributes(
            {
                "seqway.finish_reason": end.finish_reason.value,
                "seqway.input_tokens": end.input_tokens,
                "seqway.output_tokens": end.output_tokens,
                "seqway.lane": request.lanes.get(end.index, ""),
            }
        )
        if end.finish_reason is FinishReason.ERROR:
            span.set_status(Status(StatusCode.ERROR, end.finish_reason.value))
        within = trace.set_span_in_context(span, parent)
        self._child("queue", within, request.at(0), request.at(end.queue_ms))
        if end.slots:
            encoded = request.at(end.encoded_ms)
            self._child("encode", within, request.at(end.queue_ms), encoded)
            self._decoded(request, end, within, encoded)
        span.end(request.at(end.total_ms))

    def _decoded(self, request: TracedRequest, end: End, within: Context, encoded: int) -> None:
        decode = self._tracer.start_span("decode", within, start_time=encoded)
        decode.set_attributes(
            {
                "seqway.steps": end.steps,
                "seqway.slots": end.slots,
                "seqway.output_tokens": end.output_tokens,
            }
        )
        if end.first_token_ms:
            decode.add_event("first_token", timestamp=request.at(end.first_token_ms))
        decode.end(request.at(end.total_ms))

    def _start(self, name: str, parent: Context, at: int) -> Span:
        attributes = {"seqway.model": self._model}
        return self._tracer.start_span(
            name, parent, SpanKind.SERVER, attributes=attributes, start_time=at
        )

    def _child(self, name: str, within: Context, start: int, end: int) -> None:
        self._tracer.start_span(name, within, start_time=start).end(end)


def _sampled(traceparent: str) -> Context | None:
    """The context of a `traceparent`; None when it is malformed or not sampled."""
    context = _W3C.extract({"traceparent": traceparent}, Context())
    span = trace.get_current_span(context).get_span_context()
    return context if span.is_valid and span.trace_flags.sampled else None


def _provider() -> TracerProvider:
    named = Resource.create().merge(Resource({SERVICE_NAME: "seqway-triton"}))
    resource = named.merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
