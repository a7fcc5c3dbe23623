"""An OTLP/HTTP receiver that keeps every span in memory, and what is asked of them."""

import gzip
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATIENCE = 30.0


@dataclass(frozen=True)
class Span:
    """A span as it was exported; ids are hexadecimal, times nanoseconds since the epoch."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    is_error: bool
    attributes: dict[str, Any] = field(default_factory=dict, hash=False)
    events: tuple[tuple[str, int], ...] = ()
    links: tuple[str, ...] = ()

    def holds(self, other: "Span") -> bool:
        """Whether the other is its child, and within its time."""
        return other.parent == self.id and self.start <= other.start and other.end <= self.end


class Collector:
    """Listens on a free port."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.requests = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, request: ExportTraceServiceRequest) -> None:
        self.requests += 1
        for group in request.resource_spans:
            service = _values(group.resource.attributes)["service.name"]
            for scope in group.scope_spans:
                self.spans += [_span(service, each) for each in scope.spans]

    def of(self, trace: str) -> list[Span]:
        """The spans of a trace that have come."""
        return [span for span in self.spans if span.trace == trace]

    def wait_for(self, trace: str, wanted: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans of a trace, when they are as `wanted`."""
        deadline = time.monotonic() + PATIENCE
        while not wanted(found := self.of(trace)):
            names = sorted((span.service, span.name) for span in found)
            assert time.monotonic() < deadline, f"these have come: {names}"
            time.sleep(0.02)
        return found


def named(spans: Iterable[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


def one(spans: Iterable[Span], name: str) -> Span:
    found = named(spans, name)
    assert len(found) == 1, [span.name for span in spans]
    return found[0]


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            collector.take(ExportTraceServiceRequest.FromString(data))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing: a test has no use for it."""

    return Handler


def _span(service: str, span: Any) -> Span:
    return Span(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        is_error=span.status.code == 2,
        attributes=_values(span.attributes),
        events=tuple((event.name, event.time_unix_nano) for event in span.events),
        links=tuple(link.span_id.hex() for link in span.links),
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value"), None) for each in attributes
    }
