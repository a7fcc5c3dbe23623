"""Failures that a fake servicer answers with."""

from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status  # type: ignore[import-untyped]


@dataclass
class FakeFailure:
    """A status to answer with, as often as `times` says."""

    code: grpc.StatusCode
    message: str
    details: tuple[Message, ...] = ()
    times: int = 1_000_000

    def raise_in(self, context: grpc.ServicerContext) -> None:
        if self.times <= 0:
            return
        self.times -= 1
        packed = []
        for detail in self.details:
            one = Any()
            one.Pack(detail)
            packed.append(one)
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=packed)
        context.abort_with_status(rpc_status.to_status(status))


def error_info(reason: str) -> Message:
    return error_details_pb2.ErrorInfo(  # type: ignore[no-any-return]
        reason=reason, domain="seqway", metadata={"key": "value"}
    )


def bad_request(field_name: str, description: str) -> Message:
    violation = error_details_pb2.BadRequest.FieldViolation(
        field=field_name, description=description
    )
    return error_details_pb2.BadRequest(  # type: ignore[no-any-return]
        field_violations=[violation]
    )


def retry_info(seconds: float) -> Message:
    delay = Duration()
    delay.FromNanoseconds(round(seconds * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)  # type: ignore[no-any-return]
