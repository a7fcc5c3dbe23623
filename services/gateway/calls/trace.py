"""The span of a call."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import structlog
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from services.gateway.calls.handlers import Context
from services.inference.tracing import tracer

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


@contextmanager
def call_span(
    method: str, context: Context, request_id: str, *, tenant: str = ""
) -> Iterator[None]:
    """The span of a call of `method` (`/service/name`), part of the caller's if it names one."""
    service, _, name = method.removeprefix("/").partition("/")
    with tracer.start_as_current_span(
        f"{service}/{name}",
        context=propagate.extract(_metadata(context)),
        kind=SpanKind.SERVER,
        attributes={
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": name,
            "seqway.request_id": request_id,
            **({"seqway.tenant": tenant} if tenant else {}),
        },
        # The message of an error may quote a text: `note_end` records its reason.
        record_exception=False,
        set_status_on_exception=False,
    ):
        yield


def note_job(job: str) -> None:
    """Which job the current call is about; what is not an id of ours is cut."""
    job = job[:_LONGEST_JOB]
    structlog.contextvars.bind_contextvars(job_id=job)
    trace.get_current_span().set_attribute("seqway.job_id", job)


def note_end(code: grpc.StatusCode, reason: str) -> None:
    """How the current call ends; `reason` is that of its error."""
    span = trace.get_current_span()
    number: int = code.value[0]
    span.set_attribute("rpc.grpc.status_code", number)
    if reason:
        span.set_attribute("seqway.reason", reason)
    if code in _OUR_FAULTS:
        span.set_status(Status(StatusCode.ERROR, code.name))


def _metadata(context: Context) -> dict[str, str]:
    """What may hold a trace's context; the keys of gRPC's metadata are in lower case."""
    pairs = context.invocation_metadata() or ()
    return {str(key): value for key, value in pairs if isinstance(value, str)}
