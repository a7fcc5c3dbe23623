"""Settings of admission, read from `SEQWAY_*` environment variables."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.foundation.environment import EnvironmentSettings


class TenantLimits(BaseModel):
    """The limits of one tenant; None is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int | None = Field(default=None, ge=1)
    characters_per_minute: int | None = Field(default=None, ge=1)
    concurrent_calls: int | None = Field(default=None, ge=1)
    concurrent_streams: int | None = Field(default=None, ge=1)
    queued_lines: int | None = Field(default=None, ge=1)


class AdmissionSettings(EnvironmentSettings):
    """The limits of tenants, and those of the whole process."""

    tenant_limits: dict[str, TenantLimits] = Field(
        default_factory=dict,
        description='limits by tenant, those of "*" for all others (JSON object)',
    )
    limits_store: Literal["memory", "redis"] = Field(
        default="memory",
        description="where rates are counted: in each gateway, or in Redis for all gateways",
    )
    max_calls: int = Field(
        default=4096, ge=1, description="the most calls in flight; more are refused"
    )
    max_tokens_in_flight: int = Field(
        default=100_000,
        ge=1,
        description="the most tokens, read and to be written, of the calls in flight, as estimated"
        " from their texts; one call counts for a quarter of it at most",
    )
