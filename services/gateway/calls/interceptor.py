"""What surrounds every call of our services: the gate, its lifetime, and its outcome."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
import structlog

from services.foundation.endings import ENDINGS
from services.gateway.admission.gate import Gate
from services.gateway.authentication.authenticator import CredentialsCheck, Metadata
from services.gateway.authentication.identity import Identity
from services.gateway.calls.connections import Connections
from services.gateway.calls.drain import Draining
from services.gateway.calls.handlers import (
    LATE,
    Behaviour,
    Context,
    Handler,
    awaiting_message,
    parts_of,
    tolerant,
)
from services.gateway.calls.lifetime import bounded, seconds_of
from services.gateway.calls.outcome import CallOrigin, observed
from services.gateway.calls.settings import CallSettings
from services.inference.errors import DeadlineExceededError, MalformedMessageError, ServiceError

logger = structlog.get_logger(__name__)

_OURS = "/seqway.v1."
_LONGEST_REQUEST_ID = 128


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
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """The handler of the call, wrapped; made once for each call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(_OURS):
            return handler
        metadata = handler_call_details.invocation_metadata or ()
        request_id = _request_id(metadata)
        try:
            caller = await self._gate.identify(method, metadata)
        except ServiceError as error:
            return self._refusing(CallOrigin(method, request_id), error)
        except ENDINGS:
            raise
        except BaseException:
            logger.exception("a caller could not be identified", method=method)
            return self._refusing(CallOrigin(method, request_id), ServiceError("internal error"))
        check = self._gate.check_of(method, metadata, caller)
        return self._admitting(handler, CallOrigin(method, request_id, caller), caller, check)

    def _refusing(self, origin: CallOrigin, error: ServiceError) -> Handler:
        """A handler that refuses the call without reading its request, however large that is."""

        async def refuse(_requests: Any, _context: Context) -> None:
            raise error

        async def call(requests: Any, context: Context) -> Any:
            return await observed(origin, refuse, requests, context)

        return grpc.stream_stream_rpc_method_handler(cast(Any, self._noted(call)))

    def _admitting(
        self, handler: Handler, origin: CallOrigin, caller: Identity, check: CredentialsCheck | None
    ) -> Handler:
        """A handler that calls this one's behaviour as soon as the call has passed the gate."""
        make, behaviour = parts_of(handler)
        within = self._within_limits(behaviour, caller, check, streams=handler.response_streaming)

        async def call(request: Any, context: Context) -> Any:
            self._draining.note(context)
            return await observed(origin, within, request, context)

        timeout = self._settings.request_timeout
        whole = call if handler.request_streaming else awaiting_message(call, timeout)
        return make(
            self._noted(whole),
            request_deserializer=tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _within_limits(
        self,
        behaviour: Behaviour,
        caller: Identity,
        check: CredentialsCheck | None,
        *,
        streams: bool,
    ) -> Behaviour:
        settings = self._settings

        async def call(request: Any, context: Context) -> Any:
            _check_complete(request, settings.request_timeout)
            remaining = context.time_remaining()
            seconds, interval = seconds_of(context, settings), settings.credentials_interval
            with self._gate.passed(caller, request, remaining, streams=streams) as characters:
                await self._gate.count(caller, characters)
                return await bounded(behaviour(request, context), seconds, check, interval)

        return call

    def _noted(self, behaviour: Behaviour) -> Behaviour:
        async def call(requests: Any, context: Context) -> Any:
            self._connections.note(context)
            return await behaviour(requests, context)

        return call


def _check_complete(request: Any, seconds: float) -> None:
    if request is None:
        raise MalformedMessageError("the request cannot be parsed as the message of this method")
    if request is LATE:
        raise DeadlineExceededError(
            f"the request was not complete within {seconds:g} s of its headers"
        )


def _request_id(metadata: Metadata) -> str:
    """The caller's `x-request-id` if it is a sane one, else a new one."""
    for key, value in metadata:
        if key == "x-request-id" and isinstance(value, str) and value and value.isprintable():
            return value[:_LONGEST_REQUEST_ID]
    return uuid.uuid4().hex
