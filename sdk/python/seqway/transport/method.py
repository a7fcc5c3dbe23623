"""A method of the API, as data for both clients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import Message

from seqway.errors import InvalidRequestError
from seqway.transport.status import MESSAGE_TOO_LARGE

MAX_MESSAGE_BYTES = 16 * 1024 * 1024

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Result = TypeVar("Result")


class ResumableMessage(Protocol):
    """A request, and a response, of a stream that can be resumed."""

    resume_token: str


@dataclass(frozen=True)
class Method(Generic[Request, Response, Result]):
    """The path of a method, its messages, and the result of a response."""

    path: str
    request: type[Request]
    response: type[Response]
    result: Callable[[Response], Result]

    def serialize(self, request: Request) -> bytes:
        """The serialized request; `InvalidRequestError` when it is too large."""
        data = request.SerializeToString()
        if len(data) > MAX_MESSAGE_BYTES:
            raise InvalidRequestError(
                f"the request has {len(data):,} bytes, above the limit of {MAX_MESSAGE_BYTES:,}: "
                "split the text into several calls",
                reason=MESSAGE_TOO_LARGE,
            )
        return data
