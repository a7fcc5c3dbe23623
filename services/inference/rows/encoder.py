"""The port to the models that read and do not write: classifiers and span heads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.contract.readings import Failure, Reading
from services.inference.errors import (
    InvalidOptionError,
    ModelFailedError,
    ServiceError,
    ServiceUnavailableError,
    TextTooLongError,
)
from services.inference.rows.recovery import Route

# A text may be what ends a model: it is not to end them all.
_MOST_MOVES = 2


@dataclass(frozen=True, slots=True)
class Element:
    """What is read at once: a text, or a question and its context."""

    text: str
    question: str | None = None


def error_of_failure(failure: Failure, field: str, content: int | None = None) -> ServiceError:
    """The error that fails the call; `field`, or a text among the contents, held the element."""
    if failure.reason == "INVALID_OPTIONS":
        return InvalidOptionError(failure.message, field="options")
    if failure.reason == "TOO_LONG":
        return TextTooLongError(f"{field}: {failure.message}", field=field, content=content)
    return ModelFailedError(f"the model failed on {field}", field=field, content=content)


class Encoder(Protocol):
    """Reads elements with models by name."""

    async def read(
        self,
        model: str,
        elements: Sequence[Element],
        options: Mapping[str, Any],
        deadline: float,
        *,
        leaves: Callable[[ServiceError], bool],
    ) -> list[Reading]:
        """What the model says about each element; `deadline` is on the event loop's clock.

        A model that is lost is waited for, unless `leaves` says of the error that the caller goes.
        Raises DeadlineExceededError, TritonUnavailableError, ModelNotReadyError or
        ModelFailedError.
        """
        ...

    async def probe(self, model: str, within: float, *, spans: bool) -> None:
        """Returns when the model, with or without `spans`, answers `within` seconds.

        Else raises a ServiceError.
        """
        ...


async def read_by(
    encoder: Encoder,
    route: Route,
    elements: Sequence[Element],
    options: Mapping[str, Any],
    deadline: float,
) -> list[Reading]:
    """As `Encoder.read`, with another variant when the first is lost: `route.variant` then.

    All of the answer comes from one variant.
    """
    moves = 0

    def leaves(error: ServiceError) -> bool:
        return moves < _MOST_MOVES and bool(route.other(error))

    while True:
        try:
            return await encoder.read(route.variant, elements, options, deadline, leaves=leaves)
        except ServiceUnavailableError as error:
            if not leaves(error):
                raise
            route.take(route.other(error))
            moves += 1
