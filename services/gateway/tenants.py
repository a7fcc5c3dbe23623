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


def limits_of(tenant: str, limits: Mapping[str, TenantLimits]) -> TenantLimits:
    """A tenant's own limits, and for those that it has not those of everybody."""
    common = limits.get(EVERYBODY, TenantLimits())
    own = limits.get(tenant)
    if own is None:
        return common
    return common.model_copy(update=own.model_dump(exclude_unset=True))
