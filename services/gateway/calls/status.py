"""The one table from errors to gRPC status codes, and the details that go with them."""

from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from services.gateway.admission.quotas import QuotaError
from services.gateway.authentication.errors import CredentialsError, ScopeError
from services.gateway.calls.handlers import Context
from services.inference.errors import (
    BadRequestError,
    DeadlineExceededError,
    ModelFailedError,
    OverloadError,
    ServiceError,
    ServiceUnavailableError,
    UnknownModelError,
)
from services.jobs.errors import (
    InvalidInputError,
    JobStateError,
    RequestIdConflictError,
    UnknownJobError,
)

DOMAIN = "seqway"

# Clients refuse more than 8 KiB of metadata by default.  The message is in it three times, once
# with its bytes percent-encoded.
_MOST_MESSAGE_BYTES = 1000
_MOST_LINES = 10
_MOST_LINE_CHARACTERS = 120
# The first one may also describe the whole input, and the formats that are accepted.
_MOST_FIRST_LINE_CHARACTERS = 600

_CODES: tuple[tuple[type[ServiceError], grpc.StatusCode], ...] = (
    (CredentialsError, grpc.StatusCode.UNAUTHENTICATED),
    (ScopeError, grpc.StatusCode.PERMISSION_DENIED),
    (BadRequestError, grpc.StatusCode.INVALID_ARGUMENT),
    (UnknownModelError, grpc.StatusCode.NOT_FOUND),
    (UnknownJobError, grpc.StatusCode.NOT_FOUND),
    (RequestIdConflictError, grpc.StatusCode.ALREADY_EXISTS),
    (JobStateError, grpc.StatusCode.FAILED_PRECONDITION),
    (DeadlineExceededError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (OverloadError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (ServiceUnavailableError, grpc.StatusCode.UNAVAILABLE),
    (ModelFailedError, grpc.StatusCode.INTERNAL),
    (ServiceError, grpc.StatusCode.INTERNAL),
)


def code_of(error: ServiceError) -> grpc.StatusCode:
    """The gRPC status code of an error."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


async def abort(context: Context, error: ServiceError, request_id: str) -> NoReturn:
    """Ends the call with the status of `error` and its details."""
    code = code_of(error)
    message = _message(error)
    status = status_pb2.Status(
        code=code.value[0], message=message, details=_details(error, message, request_id)
    )
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", status.SerializeToString())
    ]
    if error.retry_delay is not None:
        trailers.append(("grpc-retry-pushback-ms", str(int(error.retry_delay * 1000))))
    await context.abort(code, message, tuple(trailers))


def _message(error: ServiceError) -> str:
    """For people; a list of a thousand models or languages is cut."""
    message = str(error).encode(errors="replace")
    if len(message) <= _MOST_MESSAGE_BYTES:
        return message.decode()
    return message[:_MOST_MESSAGE_BYTES].decode(errors="ignore") + " ..."


def _details(error: ServiceError, message: str, request_id: str) -> list[any_pb2.Any]:
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    if isinstance(error, InvalidInputError) and error.lines:
        details.append(error_details_pb2.BadRequest(field_violations=_lines(error)))
    elif error.field is not None:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=message, reason=error.reason
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, QuotaError):
        violation = error_details_pb2.QuotaFailure.Violation(
            subject=error.quota, description=message
        )
        details.append(error_details_pb2.QuotaFailure(violations=[violation]))
    if error.retry_delay is not None:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_delay * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return [_pack(detail) for detail in details]


def _lines(error: InvalidInputError) -> list[Any]:
    """The first invalid lines; trailers have no room for all."""
    violation = error_details_pb2.BadRequest.FieldViolation
    most = [_MOST_FIRST_LINE_CHARACTERS] + [_MOST_LINE_CHARACTERS] * (_MOST_LINES - 1)
    return [
        violation(
            field=f"line {each.line}", description=each.reason[:characters], reason=error.reason
        )
        for each, characters in zip(error.lines, most, strict=False)
    ]


def _pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
