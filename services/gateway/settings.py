"""Settings of the gateway, read from `SEQWAY_*` environment variables."""

from typing import Literal, Self

from pydantic import Field, FilePath, SecretStr, model_validator

from services.foundation.endpoints import ServingSettings
from services.foundation.log_settings import LogSettings
from services.gateway.admission.tenants import TenantLimits
from services.gateway.authentication.keys import LEAST_PEPPER
from services.inference.settings import InferenceSettings
from services.jobs.settings import JobSettings


class GatewaySettings(ServingSettings, LogSettings, JobSettings, InferenceSettings):
    """Where the gateway listens, how much it takes on, how it leaves."""

    gateway_host: str = Field(default="127.0.0.1", description="address to listen on")
    gateway_port: int = Field(
        default=50051, ge=0, le=65535, description="port to listen on; 0 picks one"
    )
    reuse_port: bool = Field(
        default=False, description="let several gateway processes share the port (SO_REUSEPORT)"
    )
    health_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="plaintext port with nothing but grpc.health.v1, for probes; 0 is off",
    )
    api_keys_file: FilePath | None = Field(
        default=None, description="file of API keys, made by seqway-keys; callers must have one"
    )
    api_key_pepper: SecretStr = Field(
        default=SecretStr(""),
        description="secret that API keys are hashed with, 16 characters or more; keep it in a"
        " file of SEQWAY_SECRETS_DIR",
    )
    jwt_issuer: str = Field(
        default="", description="issuer (iss) whose tokens are taken; callers must have one"
    )
    jwt_audience: str = Field(default="", description="audience (aud) that tokens must be for")
    jwt_jwks: str = Field(
        default="",
        description="file or https:// URL of the issuer's public keys; found by OpenID discovery"
        " when empty",
    )
    jwt_tenant_claim: str = Field(
        default="tenant", description="claim that names the tenant of a token"
    )
    jwt_scope_prefix: str = Field(
        default="seqway:", description="what the scopes for Seqway begin with in a token's scope"
    )
    credentials_interval: float = Field(
        default=5.0,
        gt=0,
        description="seconds between two looks at the credentials of a call in flight, which ends"
        " when they have been revoked or have expired",
    )
    tenant_limits: dict[str, TenantLimits] = Field(
        default_factory=dict,
        description='limits by tenant, those of "*" for all others (JSON object)',
    )
    limits_store: Literal["memory", "redis"] = Field(
        default="memory",
        description="where rates are counted: in each gateway, or in Redis for all gateways",
    )
    reflection: bool = Field(default=True, description="answer gRPC reflection")
    max_calls: int = Field(
        default=4096, ge=1, description="the most calls in flight; more are refused"
    )
    max_job_streams: int = Field(
        default=384,
        ge=1,
        description="the most calls in flight that upload, watch or read jobs; two thirds of them"
        " for one tenant",
    )
    upload_idle: float = Field(
        default=30.0,
        gt=0,
        description="seconds without a byte after which the upload of a job is ended",
    )
    max_tokens_in_flight: int = Field(
        default=100_000,
        ge=1,
        description="the most tokens, read and to be written, of the calls in flight, as estimated"
        " from their texts; one call counts for a quarter of it at most",
    )
    max_message_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="the most bytes in one message"
    )
    max_connection_streams: int = Field(
        default=256,
        ge=1,
        description="the most calls at a time on one connection; the client keeps more waiting",
    )
    request_timeout: float = Field(
        default=60.0,
        gt=0,
        description="seconds from the headers of a call to the end of its request, where that is"
        " one message",
    )
    max_connections: int = Field(
        default=4096, ge=1, description="the most connections of callers; more are closed at once"
    )
    max_idle_connections: int = Field(
        default=512,
        ge=0,
        description="the most connections that have had no call for 10 s; those that have had none"
        " for longest are closed",
    )
    max_connection_idle: float = Field(
        default=300.0,
        ge=0,
        description="seconds without a call after which a connection is closed; 0 is never",
    )
    handshake_timeout: float = Field(
        default=10.0,
        gt=0,
        description="seconds from the opening of a connection to the end of its TLS handshake and"
        " its HTTP/2 preface",
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

    @property
    def uses_redis(self) -> bool:
        """For jobs, or to count rates."""
        return super().uses_redis or self.limits_store == "redis"

    def plaintext_hops(self) -> list[str]:
        """Callers too, unless they are spoken to with certificates."""
        hops = super().plaintext_hops()
        return hops if self.tls_certificate else [*hops, "callers (SEQWAY_TLS_CERTIFICATE)"]

    @model_validator(mode="after")
    def _check_authentication(self) -> Self:
        if self.api_keys_file and len(self.api_key_pepper.get_secret_value()) < LEAST_PEPPER:
            raise ValueError(
                f"SEQWAY_API_KEY_PEPPER must have {LEAST_PEPPER} characters or more to go with"
                " SEQWAY_API_KEYS_FILE"
            )
        if self.jwt_issuer and not self.jwt_audience:
            raise ValueError("SEQWAY_JWT_AUDIENCE must be set to go with SEQWAY_JWT_ISSUER")
        if (self.jwt_audience or self.jwt_jwks) and not self.jwt_issuer:
            raise ValueError("SEQWAY_JWT_ISSUER must be set to go with the other SEQWAY_JWT_*")
        return self


def describe() -> str:
    """A line for each setting: variable, default, meaning."""
    lines = []
    for name, field in GatewaySettings.model_fields.items():
        lines.append(f"  SEQWAY_{name.upper()} = {field.default}\n      {field.description}")
    return "\n".join(lines)
