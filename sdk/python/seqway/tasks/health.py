"""Whether the server serves: the standard `grpc.health.v1`."""

from typing import TypeAlias

from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]

from seqway.transport.method import Method

Check: TypeAlias = "Method[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse, bool]"


def health_request(service: str) -> health_pb2.HealthCheckRequest:
    """Asks for a service by its full name; the empty one is the server as a whole."""
    return health_pb2.HealthCheckRequest(service=service)


def _serves(response: health_pb2.HealthCheckResponse) -> bool:
    return bool(response.status == health_pb2.HealthCheckResponse.SERVING)


CHECK_HEALTH: Check = Method(
    "/grpc.health.v1.Health/Check",
    health_pb2.HealthCheckRequest,
    health_pb2.HealthCheckResponse,
    _serves,
)
