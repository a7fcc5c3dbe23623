"""Whether this process tells of the traces that requests are part of."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.backend.spans import SpanRecorder

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def open_spans(model: str) -> "SpanRecorder | None":
    """What tells of the work of a model; None unless the environment says where to export to.

    OpenTelemetry is imported only then: a process without traces pays nothing for them.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    _bypass_proxies_on_loopback()
    from engine.backend.spans import SpanRecorder

    return SpanRecorder(model)


def _bypass_proxies_on_loopback() -> None:
    """A collector on this machine is reached without the proxy that `http_proxy` names."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    os.environ["no_proxy"] = ",".join(filter(None, (known, "localhost,127.0.0.1,::1")))
