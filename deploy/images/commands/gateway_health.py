"""`seqway-gateway-health`: the gateway's own `grpc.health.v1`, for the image's HEALTHCHECK.

It asks the port for probes where SEQWAY_HEALTH_PORT sets one, else the port of callers.
"""

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

_SECONDS = 3.0


def main() -> int:
    """0 when the gateway serves."""
    port = int(os.environ.get("SEQWAY_HEALTH_PORT") or 0)
    service = "readiness" if port else ""
    port = port or int(os.environ.get("SEQWAY_GATEWAY_PORT") or 50051)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=_SECONDS)
        except grpc.RpcError as error:
            print(f"the gateway does not answer ({error.code().name})", file=sys.stderr)  # noqa: T201
            return 1
    return int(answer.status != health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(main())
