"""What a tenant may use."""

from collections.abc import Mapping
from typing import TypeGuard

from pydantic import BaseModel, ConfigDict, Field

EVERYBODY = "*"
_MOST_CHARACTERS = 128


class TenantLimits(BaseModel):
    """The limits of one tenant; None is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int | None = Field(default=None, ge=1)
    characters_per_minute: int | None = Field(default=None, ge=1)
    concurrent_calls: int | None = Field(default=None, ge=1)
    concurrent_streams: int | None = Field(default=None, ge=1)
    queued_lines: int | None = Field(default=None, ge=1)


def is_tenant(name: object) -> TypeGuard[str]:
    """Whether it may name a tenant; "" may, where that stands for the default one."""
    return isinstance(name, str) and name.isprintable() and len(name) <= _MOST_CHARACTERS


def limits_of(tenant: str, limits: Mapping[str, TenantLimits]) -> TenantLimits:
    """A tenant's own limits, and for those that it has not those of everybody."""
    common = limits.get(EVERYBODY, TenantLimits())
    own = limits.get(tenant)
    if own is None:
        return common
    return common.model_copy(update=own.model_dump(exclude_unset=True))
