"""What surrounds every call of our services: the gate, request id, status, log line, metrics."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.message import DecodeError

from services.foundation.endings import ENDINGS
from services.gateway import metrics
from services.gateway.admission.gate import Gate
from services.gateway.api.jobs.streams import StreamEndedError
from services.gateway.api.messages.sizes import characters_of
from services.gateway.authentication.authenticator import Metadata
from services.gateway.authentication.identity import Identity
from services.gateway.calls.connections import Connections
from services.gateway.calls.deadlines import seconds_of
from services.gateway.calls.drain import Draining
from services.gateway.calls.first_message import LATE, awaiting_message
from services.gateway.calls.lifetime import Check, bounded
from services.gateway.calls.settings import CallSettings
from services.gateway.calls.status import abort, code_of
from services.gateway.calls.trace import call_span, note_end
from services.inference.errors import DeadlineExceededError, MalformedMessageError, ServiceError

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
Deserializer: TypeAlias = Callable[[bytes], Any]

logger = structlog.get_logger(__name__)

_OURS = "/seqway.v1."
_LONGEST_REQUEST_ID = 128
_REFUSALS = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the calls of `seqway.v1`; health and reflection are left alone."""

    def __init__(
        self, gate: Gate, connections: Connections, draining: Draining, settings: CallSettings
    ) -> None:
        self._gate = gate
        self._connections = connections
        self._draining = draining
        self._settings = settings

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
        metadata = handler_call_details.invocation_metadata or ()
        request_id = _request_id(metadata)
        try:
            identity = await self._gate.identify(method, metadata)
        except ServiceError as error:
            return self._refusal(method, error, request_id)
        except ENDINGS:
            raise
        except BaseException:
            logger.exception("a caller could not be identified", method=method)
            return self._refusal(method, ServiceError("internal error"), request_id)
        make, behaviour = _parts(handler)
        around = self._around(
            method,
            behaviour,
            identity,
            request_id,
            self._gate.check_of(method, metadata, identity),
            streams=handler.response_streaming,
        )
        if handler.request_streaming:
            around = self._noted(around)
        else:
            around = awaiting_message(
                around, self._settings.request_timeout, self._connections.note
            )
        return make(
            around,
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _refusal(self, method: str, error: ServiceError, request_id: str) -> Handler:
        """A handler that refuses the call without reading its request, however large that is."""

        async def refuse(_requests: Any, _context: Context) -> None:
            raise error

        async def call(requests: Any, context: Context) -> Any:
            with (
                structlog.contextvars.bound_contextvars(request_id=request_id),
                call_span(method, context, request_id),
            ):
                return await _observed(method, refuse, requests, context, request_id)

        return grpc.stream_stream_rpc_method_handler(cast(Any, self._noted(call)))

    def _noted(self, behaviour: Behaviour) -> Behaviour:
        async def call(requests: Any, context: Context) -> Any:
            self._connections.note(context)
            return await behaviour(requests, context)

        return call

    def _around(
        self,
        method: str,
        behaviour: Behaviour,
        identity: Identity,
        request_id: str,
        check: Check | None,
        *,
        streams: bool,
    ) -> Behaviour:
        settings = self._settings

        async def passed(request: Any, context: Context) -> Any:
            if request is None:
                raise MalformedMessageError("the request is not the message that it should be")
            if request is LATE:
                seconds = settings.request_timeout
                raise DeadlineExceededError(
                    f"the request was not whole within {seconds:g} s of its headers"
                )
            characters = characters_of(request)
            remaining = context.time_remaining()
            with self._gate.passed(identity, characters, remaining, streams=streams):
                await self._gate.weigh(identity, characters)
                seconds = seconds_of(context, settings)
                async with bounded(seconds, check, settings.credentials_interval):
                    return await behaviour(request, context)

        async def call(request: Any, context: Context) -> Any:
            self._draining.note(context)
            with (
                structlog.contextvars.bound_contextvars(
                    request_id=request_id, tenant=identity.tenant, caller=identity.subject
                ),
                call_span(method, context, request_id, tenant=identity.tenant),
            ):
                return await _observed(method, passed, request, context, request_id)

        return call


async def _observed(
    method: str, behaviour: Behaviour, request: Any, context: Context, request_id: str
) -> Any:
    """Runs a call, and turns what it raises to a status: every way out answers, and is counted."""
    started = time.perf_counter()
    code, reason = grpc.StatusCode.UNKNOWN, ""
    try:
        answer = await behaviour(request, context)
        code = grpc.StatusCode.OK
        return answer
    except asyncio.CancelledError:
        code = grpc.StatusCode.CANCELLED
        raise
    except StreamEndedError as error:
        # Nothing failed: the caller goes on with another stream, and no alert must count it.
        code, reason = grpc.StatusCode.OK, error.reason
        await abort(context, error, request_id)
    except ServiceError as error:
        code, reason = code_of(error), error.reason
        await abort(context, error, request_id)
    except ENDINGS:  # the process ends
        raise
    except BaseException as error:
        code, reason = grpc.StatusCode.INTERNAL, ServiceError.reason
        logger.exception("a call failed unexpectedly", method=method)
        await abort(context, ServiceError("internal error"), request_id)
        raise AssertionError("abort returned") from error
    finally:
        _record(method, code, reason, time.perf_counter() - started)


def _parts(handler: Handler) -> tuple[Callable[..., Handler], Behaviour]:
    """How to make a handler of this kind that reads its request, and what it calls.

    The stubs type the blocking server.
    """
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, cast(Behaviour, handler.stream_unary)
    if handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler, cast(Behaviour, handler.unary_stream)
    return grpc.stream_unary_rpc_method_handler, cast(Behaviour, handler.unary_unary)


def _tolerant(deserialize: Deserializer | None) -> Deserializer:
    """Gives None for malformed bytes, for which gRPC would answer UNKNOWN with a Python error."""
    assert deserialize is not None

    def parse(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return None

    return parse


def _request_id(metadata: Metadata) -> str:
    """The caller's `x-request-id` if it is a sane one, else a new one."""
    for key, value in metadata:
        if key == "x-request-id" and isinstance(value, str) and value and value.isprintable():
            return value[:_LONGEST_REQUEST_ID]
    return uuid.uuid4().hex


def _record(method: str, code: grpc.StatusCode, reason: str, seconds: float) -> None:
    metrics.CALLS.labels(method, code.name).inc()
    metrics.LATENCY.labels(method).observe(seconds)
    note_end(code, reason)
    if code in _REFUSALS:
        metrics.REFUSED.labels(reason).inc()
    level = logger.error if code is grpc.StatusCode.INTERNAL else logger.info
    level("call", method=method, code=code.name, reason=reason, ms=round(seconds * 1000, 2))
