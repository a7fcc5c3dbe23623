"""Whose call it is, for all that runs within it."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeGuard

from services.gateway.authentication.scopes import ALL_SCOPES

DEFAULT_TENANT = "default"
_LONGEST_TENANT = 128


@dataclass(frozen=True, slots=True)
class Identity:
    """A tenant, what of it calls (a key or the subject of a token), and what that may do."""

    tenant: str = DEFAULT_TENANT
    subject: str = ""
    scopes: frozenset[str] = ALL_SCOPES


CALLER: ContextVar[Identity] = ContextVar("caller")
"""The identity of the call that runs; set by the gate."""


def is_tenant(name: object) -> TypeGuard[str]:
    """Whether it may name a tenant; "" may, where that stands for the default one."""
    return isinstance(name, str) and name.isprintable() and len(name) <= _LONGEST_TENANT
