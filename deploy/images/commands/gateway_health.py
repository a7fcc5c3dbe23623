"""`seqway-gateway-health`: the gateway's own `grpc.health.v1`, for the image's HEALTHCHECK.

It asks the port for probes where SEQWAY_HEALTH_PORT sets one, else the port of callers.
"""

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

_SECONDS = 3.0
# It is the same container, whatever `http_proxy` says.
_CHANNEL_OPTIONS = (("grpc.enable_http_proxy", 0),)


def _target(port: int) -> str:
    """Where the gateway listens: at any address of the container, or at that one."""
    host = (os.environ.get("SEQWAY_GATEWAY_HOST") or "127.0.0.1").strip("[]")
    if host == "0.0.0.0":
        host = "127.0.0.1"
    elif host == "::":
        host = "::1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def main() -> int:
    """0 when the gateway serves."""
    port = int(os.environ.get("SEQWAY_HEALTH_PORT") or 0)
    service = "readiness" if port else ""
    port = port or int(os.environ.get("SEQWAY_GATEWAY_PORT") or 50051)
    with grpc.insecure_channel(_target(port), _CHANNEL_OPTIONS) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=_SECONDS)
        except grpc.RpcError as error:
            print(f"the gateway does not answer ({error.code().name})", file=sys.stderr)  # noqa: T201
            return 1
    return int(answer.status != health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(main())
