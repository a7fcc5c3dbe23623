"""Settings of the gateway, read from `SEQWAY_*` environment variables."""

from dataclasses import dataclass

from pydantic import Field

from services.foundation.endpoints import ServingSettings
from services.foundation.environment import EnvironmentSettings, ProcessSettings
from services.foundation.logs import LogSettings
from services.gateway.admission.settings import AdmissionSettings
from services.gateway.api.settings import JobCallSettings, TextSettings
from services.gateway.authentication.settings import AuthenticationSettings
from services.gateway.calls.settings import CallSettings, ConnectionSettings
from services.inference.settings import InferenceSettings
from services.jobs.settings import JobSettings


class ListenerSettings(EnvironmentSettings):
    """Where the gateway listens, and how it drains."""

    gateway_host: str = Field(default="127.0.0.1", description="address to listen on")
    gateway_port: int = Field(
        default=50051, ge=0, le=65535, description="port to listen on; 0 picks one"
    )
    health_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="plaintext port with nothing but grpc.health.v1, for probes; 0 is off",
    )
    reflection: bool = Field(default=True, description="answer gRPC reflection")
    drain_wait: float = Field(
        default=0.5, ge=0, description="seconds between turning NOT_SERVING and refusing new calls"
    )
    drain_grace: float = Field(
        default=30.0, ge=0, description="seconds that calls in flight get to finish at shutdown"
    )


@dataclass(frozen=True)
class GatewaySettings(ProcessSettings):
    """A group for each component."""

    inference: InferenceSettings
    jobs: JobSettings
    logs: LogSettings
    serving: ServingSettings
    listener: ListenerSettings
    authentication: AuthenticationSettings
    admission: AdmissionSettings
    connections: ConnectionSettings
    calls: CallSettings
    texts: TextSettings
    job_calls: JobCallSettings

    def plaintext_hops(self) -> list[str]:
        """Callers and the counters of rates too."""
        hops = super().plaintext_hops()
        if self.admission.limits_store == "redis" and not self.jobs.job_store:
            hops += self.jobs.plaintext_redis
        return hops if self.serving.tls_certificate else [*hops, "callers (SEQWAY_TLS_CERTIFICATE)"]
