"""What surrounds every call of our services: admission, request id, status, log line, metrics."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.message import DecodeError

from services.gateway import metrics
from services.gateway.admission import Admission
from services.gateway.call_trace import call_span, note_end
from services.gateway.status import abort, code_of
from services.inference.errors import MalformedMessageError, SeqwayError

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
Deserializer: TypeAlias = Callable[[bytes], Any]

logger = structlog.get_logger(__name__)

_OURS = "/seqway.v1."
_LONGEST_REQUEST_ID = 128


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the calls of `seqway.v1`; health and reflection are left alone."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The handler of the call, wrapped; made once for each call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(_OURS):
            return handler
        make, behaviour = _parts(handler)
        return make(
            self._around(method, behaviour),
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _around(self, method: str, behaviour: Behaviour) -> Behaviour:
        async def call(request: Any, context: Context) -> Any:
            request_id = _request_id(context)
            with (
                structlog.contextvars.bound_contextvars(request_id=request_id),
                call_span(method, context, request_id),
            ):
                return await self._observed(method, behaviour, request, context, request_id)

        return call

    async def _observed(
        self, method: str, behaviour: Behaviour, request: Any, context: Context, request_id: str
    ) -> Any:
        started = time.perf_counter()
        code, reason = grpc.StatusCode.OK, ""
        try:
            with self._admission.enter():
                if request is None:
                    raise MalformedMessageError("the request is not the message that it should be")
                return await behaviour(request, context)
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except SeqwayError as error:
            code, reason = code_of(error), error.reason
            await abort(context, error, request_id)
        except Exception as error:
            code, reason = grpc.StatusCode.INTERNAL, SeqwayError.reason
            logger.exception("a call failed unexpectedly", method=method)
            await abort(context, SeqwayError("internal error"), request_id)
            raise AssertionError("abort returned") from error
        finally:
            _record(method, code, reason, time.perf_counter() - started)


def _parts(handler: Handler) -> tuple[Callable[..., Handler], Behaviour]:
    """How to make a handler of this kind, and what it calls; the stubs type the blocking server."""
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, cast(Behaviour, handler.stream_unary)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler, cast(Behaviour, handler.unary_stream)
    return grpc.unary_unary_rpc_method_handler, cast(Behaviour, handler.unary_unary)


def _tolerant(deserialize: Deserializer | None) -> Deserializer:
    """Gives None for malformed bytes, for which gRPC would answer UNKNOWN with a Python error."""
    assert deserialize is not None

    def parse(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return None

    return parse


def _request_id(context: Context) -> str:
    """The caller's `x-request-id` if it is a sane one, else a new one."""
    for key, value in context.invocation_metadata() or ():
        if key == "x-request-id" and isinstance(value, str) and value.isprintable():
            return value[:_LONGEST_REQUEST_ID]
    return uuid.uuid4().hex


def _record(method: str, code: grpc.StatusCode, reason: str, seconds: float) -> None:
    metrics.CALLS.labels(method, code.name).inc()
    metrics.LATENCY.labels(method).observe(seconds)
    note_end(code, reason)
    level = logger.error if code is grpc.StatusCode.INTERNAL else logger.info
    level("call", method=method, code=code.name, reason=reason, ms=round(seconds * 1000, 2))
