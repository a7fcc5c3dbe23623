"""The gRPC servers of the gateway: how they listen, and what connections may do."""

import grpc

from services.foundation.certificates import Certificates
from services.foundation.endpoints import PortInUseError
from services.gateway.calls.settings import ConnectionSettings

_IDENTITY_ONLY = 1
_ENDING = 3
# Calls that have arrived and that Python has not accepted yet.  Beyond a thousand gRPC silently
# cancels some by default; how many may be in flight is for admission to decide.
_MOST_PENDING = 1 << 14

Options = list[tuple[str, int]]


def listen(server: grpc.aio.Server, address: str, certificates: Certificates | None) -> int:
    """The port; PortInUseError."""
    try:
        if certificates is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, certificates.server_credentials())
    except RuntimeError:
        raise PortInUseError(
            f"cannot listen on {address}: the port is in use, or SEQWAY_GATEWAY_HOST is not an"
            " address of this machine"
        ) from None


def probe_options(settings: ConnectionSettings) -> Options:
    """How long idle connections last, and how many connections there may be."""
    options = [
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.server_handshake_timeout_ms", _milliseconds(settings.handshake_timeout)),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
    ]
    if settings.max_connection_idle:
        options.append(("grpc.max_connection_idle_ms", _milliseconds(settings.max_connection_idle)))
    return options


def call_options(settings: ConnectionSettings) -> Options:
    """The same, and what one connection may carry."""
    ping_interval = _milliseconds(settings.client_ping_interval)
    options = [
        *probe_options(settings),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_connection_streams),
        # A client counts a call as ended when its answer has come, the server when the last of it
        # is freed.  Without this room (grpcio 1.81.1) calls within the limit are refused now and
        # then (REFUSED_STREAM).  It bounds rapid resets (CVE-2023-44487).
        ("grpc.http2.max_deallocating_streams", _ENDING * settings.max_connection_streams),
        ("grpc.server.max_pending_requests", _MOST_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
        # A compressed message is inflated before its length is checked (grpc#43012).
        ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
        ("grpc.keepalive_time_ms", _milliseconds(settings.keepalive_time)),
        ("grpc.keepalive_timeout_ms", _milliseconds(settings.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", ping_interval),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", ping_interval),
    ]
    if settings.max_connection_age:
        options.append(("grpc.max_connection_age_ms", _milliseconds(settings.max_connection_age)))
    return options


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
