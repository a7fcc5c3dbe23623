"""Prometheus metrics of the gateway."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

CALLS = Counter("seqway_gateway_calls", "Calls that have ended.", ["method", "code"])
LATENCY = Histogram(
    "seqway_gateway_call_seconds", "From a call's arrival to its end.", ["method"], buckets=_SECONDS
)
IN_FLIGHT = Gauge("seqway_gateway_calls_in_flight", "Calls that have not ended.")
TOKENS_IN_FLIGHT = Gauge(
    "seqway_gateway_tokens_in_flight", "Tokens of the calls that have not ended, as estimated."
)
REFUSED = Counter(
    "seqway_gateway_refused", "Calls that were refused before any work was done.", ["reason"]
)
FIRST_DELTA = Histogram(
    "seqway_gateway_first_delta_seconds",
    "From a stream's arrival to its first message.",
    buckets=_SECONDS,
)
# Labels are of few values: methods are those that the server has, models those that answered.
TOKENS = Counter(
    "seqway_gateway_tokens", "Tokens of calls that were answered.", ["model", "direction"]
)
FIRST_TOKEN = Histogram(
    "seqway_gateway_first_token_seconds",
    "From a call's arrival to its first token, of streams and of calls with one answer.",
    ["model"],
    buckets=_SECONDS,
)
CONNECTIONS = Gauge("seqway_gateway_connections", "Connections of callers.")
CLOSED = Counter(
    "seqway_gateway_connections_closed",
    "Connections that were closed for a flood of frames, or because too many were idle.",
    ["reason"],
)
SERVING = Gauge(
    "seqway_gateway_serving", "Whether a service has a model that answers, 1 or 0.", ["service"]
)
