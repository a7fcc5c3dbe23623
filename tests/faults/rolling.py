"""How an upgrade replaces a process: by SIGTERM, and for the gateway with the next one ready."""

import os
import signal
from contextlib import suppress

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from deploy.local import processes
from deploy.local.ports import HOST, free_ports
from deploy.local.processes import ProcessRecord
from deploy.local.records import StackRecord
from deploy.local.services.gateway import gateway_service
from tests.faults.stack import BrokenStack, wait_until

_LEAVING_SECONDS = 25.0


def replace(broken: BrokenStack, name: str) -> None:
    """Stops a process, and starts it again when it has left."""
    leave(broken.record(name))
    broken.restore()


def replace_gateway(broken: BrokenStack) -> None:
    """Starts another gateway on the same port, and stops the old one when that is ready."""
    old = broken.record("gateway")
    new = _start_gateway(broken)
    record = StackRecord.load(broken.settings.run_directory)
    record.processes["gateway"] = new  # the stack stops it at the end
    record.save(broken.settings.run_directory)
    leave(old)


def leave(process: ProcessRecord) -> None:
    """Has it go by SIGTERM alone, with all that belongs to it."""
    os.kill(process.pid, signal.SIGTERM)
    wait_until(lambda: not processes.is_alive(process), f"{process.name} left", _LEAVING_SECONDS)
    wait_until(lambda: not processes.orphans(process), f"all of {process.name} left", 10)


def _start_gateway(broken: BrokenStack) -> ProcessRecord:
    launch = gateway_service(broken.settings, batch=True).launch()
    (probes,) = free_ports(1)
    process = processes.spawn(
        "gateway",
        launch.command,
        {**launch.environment, "SEQWAY_METRICS_PORT": "0", "SEQWAY_HEALTH_PORT": str(probes)},
        broken.settings.run_directory / "gateway.log",
        launch.directory,
    )
    with grpc.insecure_channel(f"{HOST}:{probes}") as channel:
        wait_until(lambda: _is_ready(channel), "the next gateway is ready", 60)
    return process


def _is_ready(channel: grpc.Channel) -> bool:
    request = health_pb2.HealthCheckRequest(service="readiness")
    with suppress(grpc.RpcError):
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=2)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
    return False
