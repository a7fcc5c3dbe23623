"""From a gRPC status, with its google.rpc details, to an exception of this package."""

from typing import cast

import grpc
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status  # type: ignore[import-untyped]

from seqway.errors import (
    AuthenticationError,
    CancelledError,
    DeadlineError,
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    SeqwayError,
    ServerError,
    UnavailableError,
)

_ERRORS: dict[grpc.StatusCode, type[SeqwayError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequestError,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidRequestError,
    grpc.StatusCode.ALREADY_EXISTS: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
    grpc.StatusCode.PERMISSION_DENIED: AuthenticationError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.CANCELLED: CancelledError,
}

MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"


def error_of(failure: grpc.RpcError) -> SeqwayError:
    """The exception for the failure of a sync or an async call."""
    call = cast(grpc.Call, failure)
    code, message = call.code(), call.details() or ""
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "message larger than max" in message:
        # Rejected by gRPC itself, on either side: a retry can't help, unlike with an overload.
        return InvalidRequestError(message, reason=MESSAGE_TOO_LARGE)
    details = _details(call)
    info = details.info
    return _ERRORS.get(code, ServerError)(
        message or code.name,
        reason=info.reason or code.name,
        domain=info.domain,
        violations=details.violations,
        retry_after=details.retry_after,
        metadata=dict(info.metadata),
    )


def cancelled_here() -> CancelledError:
    """The exception for a call that its own program has cancelled."""
    return CancelledError("the call was cancelled", reason="CANCELLED")


def unknown_event() -> ServerError:
    """The exception for a streamed message that this version doesn't know."""
    return ServerError(
        "the server sent an event unknown to this client: update the client",
        reason="UNKNOWN_EVENT",
    )


class _Details:
    """The google.rpc details of a status; empty where the server sent none."""

    def __init__(self) -> None:
        self.info = error_details_pb2.ErrorInfo()
        self.violations: tuple[FieldViolation, ...] = ()
        self.retry_after: float | None = None


def _details(call: grpc.Call) -> _Details:
    details = _Details()
    for packed in _rich_status(call).details:
        if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            packed.Unpack(details.info)
        elif packed.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            packed.Unpack(bad)
            details.violations = tuple(
                FieldViolation(one.field, one.description) for one in bad.field_violations
            )
        elif packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            packed.Unpack(retry)
            details.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return details


def _rich_status(call: grpc.Call) -> status_pb2.Status:
    """The google.rpc.Status of the trailers; empty when there is none that fits the call."""
    try:
        return rpc_status.from_call(call) or status_pb2.Status()
    except ValueError:  # its code differs from the call's: something between rewrote one of them
        return status_pb2.Status()
