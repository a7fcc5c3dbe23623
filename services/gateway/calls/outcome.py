"""What is told of a call and how it ends: its span, a status, a log line and metrics."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from services.foundation.endings import ENDINGS
from services.gateway import metrics
from services.gateway.authentication.identity import Identity
from services.gateway.calls.handlers import Behaviour, Context
from services.gateway.calls.lifetime import StreamEndedError
from services.gateway.calls.status import abort, code_of
from services.inference.errors import ServiceError
from services.inference.tracing import tracer

logger = structlog.get_logger(__name__)

_REFUSALS = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
# Server errors by OpenTelemetry's conventions for gRPC; others are the caller's.
_OUR_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)

_LONGEST_JOB = 32


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


def note_job(job: str) -> None:
    """Which job the current call is about; what is not an id of ours is cut."""
    job = job[:_LONGEST_JOB]
    structlog.contextvars.bind_contextvars(job_id=job)
    trace.get_current_span().set_attribute("seqway.job_id", job)


@contextmanager
def _ids_of(origin: CallOrigin, context: Context) -> Iterator[None]:
    """What log lines of the call carry, and its span: part of the caller's if it names one."""
    service, _, name = origin.method.removeprefix("/").partition("/")
    caller = origin.caller
    names = {"tenant": caller.tenant, "caller": caller.subject} if caller else {}
    with (
        structlog.contextvars.bound_contextvars(request_id=origin.request_id, **names),
        tracer.start_as_current_span(
            f"{service}/{name}",
            context=propagate.extract(_metadata(context)),
            kind=SpanKind.SERVER,
            attributes={
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": name,
                "seqway.request_id": origin.request_id,
                **({"seqway.tenant": caller.tenant} if caller and caller.tenant else {}),
            },
            # The message of an error may quote a text: `_note_end` records its reason.
            record_exception=False,
            set_status_on_exception=False,
        ),
    ):
        yield


def _metadata(context: Context) -> dict[str, str]:
    """What may hold a trace's context; the keys of gRPC's metadata are in lower case."""
    pairs = context.invocation_metadata() or ()
    return {str(key): value for key, value in pairs if isinstance(value, str)}


def _record(method: str, code: grpc.StatusCode, reason: str, seconds: float) -> None:
    metrics.CALLS.labels(method, code.name).inc()
    metrics.LATENCY.labels(method).observe(seconds)
    _note_end(code, reason)
    if code in _REFUSALS:
        metrics.REFUSED.labels(reason).inc()
    level = logger.error if code is grpc.StatusCode.INTERNAL else logger.info
    level("call", method=method, code=code.name, reason=reason, ms=round(seconds * 1000, 2))


def _note_end(code: grpc.StatusCode, reason: str) -> None:
    """How the current call ends; `reason` is that of its error."""
    span = trace.get_current_span()
    number: int = code.value[0]
    span.set_attribute("rpc.grpc.status_code", number)
    if reason:
        span.set_attribute("seqway.reason", reason)
    if code in _OUR_FAULTS:
        span.set_status(Status(StatusCode.ERROR, code.name))
