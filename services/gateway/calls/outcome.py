"""How a call ends: with a status, a span, a log line and metrics."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from services.foundation.endings import ENDINGS
from services.gateway import metrics
from services.gateway.authentication.identity import Identity
from services.gateway.calls.deadlines import StreamEndedError
from services.gateway.calls.handlers import Behaviour, Context
from services.gateway.calls.status import abort, code_of
from services.gateway.calls.trace import call_span, note_end
from services.inference.errors import ServiceError

logger = structlog.get_logger(__name__)

_REFUSALS = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


@dataclass(frozen=True, slots=True)
class CallOrigin:
    """Which method is called, and by whom; nobody where the caller could not be identified."""

    method: str
    request_id: str
    caller: Identity | None = None


async def observed(origin: CallOrigin, behaviour: Behaviour, request: Any, context: Context) -> Any:
    """Runs a call, and turns what it raises to a status: every way out answers, and is counted."""
    started = time.perf_counter()
    code, reason = grpc.StatusCode.UNKNOWN, ""
    with _ids_of(origin, context):
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
            await abort(context, error, origin.request_id)
        except ServiceError as error:
            code, reason = code_of(error), error.reason
            await abort(context, error, origin.request_id)
        except ENDINGS:  # the process ends
            raise
        except BaseException as error:
            code, reason = grpc.StatusCode.INTERNAL, ServiceError.reason
            logger.exception("a call failed unexpectedly", method=origin.method)
            await abort(context, ServiceError("internal error"), origin.request_id)
            raise AssertionError("abort returned") from error
        finally:
            _record(origin.method, code, reason, time.perf_counter() - started)


@contextmanager
def _ids_of(origin: CallOrigin, context: Context) -> Iterator[None]:
    """What log lines and spans of the call carry."""
    caller = origin.caller
    names = {"tenant": caller.tenant, "caller": caller.subject} if caller else {}
    with (
        structlog.contextvars.bound_contextvars(request_id=origin.request_id, **names),
        call_span(origin.method, context, origin.request_id, tenant=names.get("tenant", "")),
    ):
        yield


def _record(method: str, code: grpc.StatusCode, reason: str, seconds: float) -> None:
    metrics.CALLS.labels(method, code.name).inc()
    metrics.LATENCY.labels(method).observe(seconds)
    note_end(code, reason)
    if code in _REFUSALS:
        metrics.REFUSED.labels(reason).inc()
    level = logger.error if code is grpc.StatusCode.INTERNAL else logger.info
    level("call", method=method, code=code.name, reason=reason, ms=round(seconds * 1000, 2))
