"""Whose call runs, for the engine, which shares its time between tenants."""

from contextvars import ContextVar

TENANT: ContextVar[str] = ContextVar("tenant", default="")
"""The tenant of the call that runs; "" is nobody in particular, as in a worker."""
