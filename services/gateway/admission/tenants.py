"""What a tenant may use."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

EVERYBODY = "*"


class TenantLimits(BaseModel):
    """The limits of one tenant; None is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int | None = Field(default=None, ge=1)
    characters_per_minute: int | None = Field(default=None, ge=1)
    concurrent_calls: int | None = Field(default=None, ge=1)
    concurrent_streams: int | None = Field(default=None, ge=1)
    queued_lines: int | None = Field(default=None, ge=1)


def completed(limits: Mapping[str, TenantLimits]) -> dict[str, TenantLimits]:
    """Each tenant's own limits with, where it has none, those of EVERYBODY, who is always there."""
    common = limits.get(EVERYBODY, TenantLimits())
    return {EVERYBODY: common} | {
        tenant: common.model_copy(update=own.model_dump(exclude_unset=True))
        for tenant, own in limits.items()
    }
