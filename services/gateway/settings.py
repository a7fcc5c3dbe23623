"""Settings of the gateway, read from `SEQWAY_*` environment variables."""

from pydantic import Field

from services.inference.settings import InferenceSettings
from services.jobs.settings import JobSettings
from services.observability.settings import LogSettings


class GatewaySettings(JobSettings, InferenceSettings, LogSettings):
    """Where the gateway listens, how much it takes on, how it leaves."""

    gateway_host: str = Field(default="127.0.0.1", description="address to listen on")
    gateway_port: int = Field(
        default=50051, ge=0, le=65535, description="port to listen on; 0 picks one"
    )
    reuse_port: bool = Field(
        default=False, description="let several gateway processes share the port (SO_REUSEPORT)"
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="port of the Prometheus metrics; 0 is off"
    )
    max_calls: int = Field(
        default=512, ge=1, description="the most calls in flight; more are refused"
    )
    max_message_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="the most bytes in one message"
    )
    max_connection_age: float = Field(
        default=0.0,
        ge=0,
        description="seconds after which clients are asked to reconnect; 0 is never",
    )
    keepalive_time: float = Field(
        default=60.0, gt=0, description="seconds of silence after which the gateway pings a client"
    )
    keepalive_timeout: float = Field(
        default=20.0, gt=0, description="seconds that a client may take to answer a ping"
    )
    client_ping_interval: float = Field(
        default=10.0, ge=0, description="seconds that clients must leave between their own pings"
    )
    drain_wait: float = Field(
        default=0.5, ge=0, description="seconds between turning NOT_SERVING and refusing new calls"
    )
    drain_grace: float = Field(
        default=30.0, ge=0, description="seconds that calls in flight get to finish at shutdown"
    )


def describe() -> str:
    """A line for each setting: variable, default, meaning."""
    lines = []
    for name, field in GatewaySettings.model_fields.items():
        lines.append(f"  SEQWAY_{name.upper()} = {field.default}\n      {field.description}")
    return "\n".join(lines)
