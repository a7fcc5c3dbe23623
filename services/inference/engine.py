"""The port to whatever runs the models: Triton, or a twin of it in a test."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from services.inference.events import Event

PriorityName = Literal["interactive", "bulk"]


@dataclass(frozen=True, slots=True)
class Generation:
    """How the texts of a call are generated.

    `max_new_tokens` 0 is the model's limit.  `deadline` is a time of the running event loop's
    clock.
    """

    stream: bool
    deadline: float
    max_new_tokens: int = 0
    priority: PriorityName = "interactive"


@dataclass(frozen=True, slots=True)
class Reply:
    """Events of one request; `final` when the engine has nothing more to say on it."""

    request_id: str
    events: Sequence[Event]
    final: bool


class Session(AbstractContextManager["Session"], Protocol):
    """The requests of one call; leaving it cancels those not released."""

    def submit(self, texts: Sequence[str]) -> str:
        """Sends texts, one row of the running batch each, and returns the request's id."""
        ...

    def release(self, request_id: str) -> None:
        """Notes that all texts of a request are answered: nothing of it is left to cancel."""
        ...

    async def receive(self) -> Sequence[Reply]:
        """All that has arrived, at least one reply; waits for it.

        Raises DeadlineError when the deadline has passed, TritonUnavailableError when the way to
        the engine broke, ModelNotReadyError or ModelFailedError when the model failed.
        """
        ...


class Engine(Protocol):
    """Runs models by name."""

    def open(self, model: str, generation: Generation) -> Session:
        """A session for one call."""
        ...

    async def probe(self, model: str, within: float) -> None:
        """Returns when the model's engine answers `within` seconds, else SeqwayError."""
        ...
