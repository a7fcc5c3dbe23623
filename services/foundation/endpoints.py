"""What a process serves itself: its certificates, and metrics over HTTP."""

import ssl
import threading
from typing import Any, Self
from wsgiref.simple_server import WSGIServer

import prometheus_client
import structlog
from prometheus_client.registry import Collector
from pydantic import Field, FilePath, model_validator

from services.foundation.certificates import Certificates, check_pair
from services.foundation.environment import EnvironmentSettings

logger = structlog.get_logger(__name__)


class PortInUseError(Exception):
    """A process cannot listen where it should."""


class ServingSettings(EnvironmentSettings):
    """Where metrics are served, and the certificates of the process."""

    metrics_host: str = Field(default="127.0.0.1", description="address to serve metrics on")
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="port of the Prometheus metrics; 0 is off"
    )
    metrics_tls: bool = Field(
        default=False, description="serve metrics with the certificates of the process"
    )
    tls_certificate: FilePath | None = Field(
        default=None,
        description="PEM file of the process's certificate and its chain; without it callers"
        " connect in plaintext",
    )
    tls_key: FilePath | None = Field(default=None, description="PEM file of its key")
    tls_client_ca: FilePath | None = Field(
        default=None,
        description="PEM file of the CAs that must have issued callers' certificates; without it"
        " callers need none",
    )

    @property
    def certificates(self) -> Certificates | None:
        """What callers connect with; None in plaintext."""
        if self.tls_certificate is None:
            return None
        return Certificates(self.tls_client_ca, self.tls_certificate, self.tls_key)

    def plaintext_hops(self) -> list[str]:
        """Metrics, unless they are served with certificates."""
        in_plaintext = self.metrics_port and not self.metrics_tls
        return ["metrics (SEQWAY_METRICS_TLS)"] if in_plaintext else []

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        check_pair("SEQWAY_TLS", self.tls_certificate, self.tls_key)
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("SEQWAY_TLS_CERTIFICATE is not set: without it there is no TLS")
        if self.metrics_tls and self.tls_certificate is None:
            raise ValueError("SEQWAY_METRICS_TLS needs SEQWAY_TLS_CERTIFICATE")
        return self


def host_and_port(host: str, port: int) -> str:
    """The address as URLs and gRPC write it: an IPv6 address has brackets, given or not."""
    bare = host.removeprefix("[").removesuffix("]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def serve_metrics(
    settings: ServingSettings, registry: Collector = prometheus_client.REGISTRY
) -> tuple[WSGIServer, threading.Thread] | None:
    """Serves metrics from a thread, where a port is set; PortInUseError, InvalidSettingsError."""
    if not settings.metrics_port:
        return None
    try:
        server, thread = prometheus_client.start_http_server(
            settings.metrics_port, settings.metrics_host.strip("[]"), registry, **_tls(settings)
        )
    except OSError:
        address = host_and_port(settings.metrics_host, settings.metrics_port)
        raise PortInUseError(
            f"cannot serve metrics on {address}: the port is in use, or SEQWAY_METRICS_HOST is not"
            " an address of this machine"
        ) from None
    if isinstance(server.socket, ssl.SSLSocket):
        # Otherwise a client that connects and sends nothing blocks all others: the accepting thread
        # would wait for the handshake.  Now the connection's own thread does.
        server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]
        server.handle_error = _tell_failure  # type: ignore[method-assign,assignment]
    return server, thread


def _tell_failure(_request: Any, address: Any) -> None:
    """In place of a traceback on stderr, which any client could provoke."""
    logger.debug("a client of the metrics endpoint failed", address=address[0], exc_info=True)


def _tls(settings: ServingSettings) -> dict[str, Any]:
    """The certificates; readers of metrics must present one where callers must."""
    if not settings.metrics_tls:
        return {}
    assert settings.certificates is not None
    settings.certificates.check()
    client_ca = settings.tls_client_ca
    return {
        "certfile": str(settings.tls_certificate),
        "keyfile": str(settings.tls_key),
        "client_cafile": str(client_ca) if client_ca else None,
        "client_auth_required": client_ca is not None,
    }
