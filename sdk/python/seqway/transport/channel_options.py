"""Where the server is, and how a channel to it behaves."""

import json
import os

from seqway.transport.loopback import is_loopback
from seqway.transport.method import MAX_MESSAGE_BYTES

ADDRESS_VARIABLE = "SEQWAY_ADDRESS"
DEFAULT_ADDRESS = "127.0.0.1:50051"

# Calls of these services are idempotent: they only read.  So are these methods of JobService, of
# which CreateJob carries a request_id.
_IDEMPOTENT_SERVICES = (
    "seqway.v1.TranslationService",
    "seqway.v1.SummarizationService",
    "seqway.v1.ClassificationService",
    "seqway.v1.QuestionAnsweringService",
    "seqway.v1.ModelService",
)
_IDEMPOTENT_METHODS = ("CreateJob", "GetJob", "ListJobs", "WatchJob", "ReadResults", "CancelJob")

_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [
                *({"service": service} for service in _IDEMPOTENT_SERVICES),
                *(
                    {"service": "seqway.v1.JobService", "method": method}
                    for method in _IDEMPOTENT_METHODS
                ),
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                # A server that shuts down cancels calls that reach it before the client has heard
                # of it (grpc#41785).  Calls that this client cancels are never retried.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
    # When most calls fail, retries stop rather than double the load (gRFC A6).  A client may have a
    # thousand calls in flight that all break at once when a server is replaced.
    "retryThrottling": {"maxTokens": 1000, "tokenRatio": 1},
}

# Pings keep long idle calls alive through NAT.  A server must allow them: by default gRPC
# answers pings closer than 5 minutes with GOAWAY.
_KEEPALIVE_MS = 60_000
_KEEPALIVE_TIMEOUT_MS = 20_000

# A replaced server is back at once: the default back-off of 1 s would outlast the retries.
_FIRST_RECONNECT_MS = 100

_OPTIONS: list[tuple[str, str | int]] = [
    # A client has connections of its own: a gateway bounds the calls on each.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
    ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
]


def channel_options(address: str) -> list[tuple[str, str | int]]:
    """The options of a channel to a resolved address.

    What stays on this machine does not go through the proxy that `http_proxy` names: it could reach
    nothing there, and would see the API key.
    """
    return [*_OPTIONS, ("grpc.enable_http_proxy", int(not is_loopback(address)))]


def resolve_address(address: str | None) -> str:
    """The argument, else SEQWAY_ADDRESS, else the local stack's address."""
    return address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
