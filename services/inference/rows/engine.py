"""The port to whatever runs the generating models: Triton, or a twin of it in a test."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from services.inference.rows.events import Event
from services.inference.rows.generation import Generation

TENANT: ContextVar[str] = ContextVar("tenant", default="")
"""Whose call runs, for the engine, which shares its time; "" is nobody, as in a worker."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Events of one request; `final` when the engine has nothing more to say on it."""

    request_id: str
    events: Sequence[Event]
    final: bool


class EngineSession(AbstractContextManager["EngineSession"], Protocol):
    """The requests of one call; leaving it cancels those not released."""

    def submit(
        self, texts: Sequence[str], generation: Generation, traceparents: Sequence[str] = ()
    ) -> str:
        """Sends texts, one row of the running batch each, and returns the request's id.

        `traceparents` are the spans that the rows are part of, "" for none; empty when there
        are none at all.
        """
        ...

    def release(self, request_id: str) -> None:
        """Notes that all texts of a request are answered: nothing of it is left to cancel."""
        ...

    async def receive(self) -> Sequence[Reply]:
        """All that has arrived, at least one reply; waits for it.

        A request that the engine lost or failed on ends with a `Lost`.  Raises
        DeadlineExceededError when the deadline has passed.
        """
        ...


class InferenceEngine(Protocol):
    """Runs models by name."""

    def open(self, model: str, deadline: float, tenant: str) -> EngineSession:
        """A session for one call; `deadline` is a time of the running event loop's clock."""
        ...

    async def probe(self, model: str, within: float) -> None:
        """Returns when the model's engine answers `within` seconds, else ServiceError."""
        ...
