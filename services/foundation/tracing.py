"""Traces of this process, exported over OTLP/HTTP if OpenTelemetry's variables name an endpoint.

Without one nothing is set up, and the calls of OpenTelemetry's API in the rest of the code do
nothing.  Sampling, headers, certificates and batching follow the standard `OTEL_*` variables.
"""

import os
import threading

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_FLUSH_SECONDS = 2.0


def start(service: str) -> None:
    """Exports the spans of this process from now on; OTEL_SERVICE_NAME overrides `service`.

    To be called after the last fork, since the exporter's thread does not survive one, and once.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return
    # Its HTTP client costs a tenth of a second, which a process without traces need not pay.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def stop() -> None:
    """Exports what is left; an unreachable collector does not delay the end of the process."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        flush = threading.Thread(target=provider.shutdown, name="flush-traces", daemon=True)
        flush.start()
        flush.join(_FLUSH_SECONDS)


def _resource(service: str) -> Resource:
    named = Resource.create().merge(Resource({SERVICE_NAME: service}))
    return named.merge(OTELResourceDetector().detect())
