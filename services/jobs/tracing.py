"""The spans of a job: its chunks, each a part of the call that made the job, and their lines."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from services.foundation.endings import ENDINGS
from services.inference.tracing import contents_within, context_of, fail, tracer
from services.jobs.store.archive import JobRun
from services.jobs.store.items import Item
from services.jobs.store.records import Status as LineStatus
from services.jobs.store.results import Outcome

_LINES = context.create_key("seqway-lines")


@contextmanager
def work_span(name: str, run: JobRun, **attributes: int) -> Iterator[Span]:
    """Work on a job, as part of the trace of the call that made it.

    The current span is that of whoever sent the message which led to the work: a link tells of it.
    """
    sender = trace.get_current_span().get_span_context()
    with tracer.start_as_current_span(
        name,
        context=context_of(run.record.traceparent),
        kind=SpanKind.CONSUMER,
        links=[Link(sender)] if sender.is_valid else [],
        attributes={
            "seqway.job_id": run.record.id,
            "seqway.tenant": run.record.tenant,
            "seqway.run": run.run.number,
            **{f"seqway.{key}": value for key, value in attributes.items()},
        },
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except ENDINGS:
            raise
        except BaseException as error:
            fail(span, error)
            raise


@contextmanager
def contents_of(indices: Sequence[int]) -> Iterator[None]:
    """Makes what models do for content `i` of a call part of the line with the i-th index."""
    lines = context.get_value(_LINES)
    if lines is None:
        yield
        return
    assert isinstance(lines, Mapping)
    with contents_within([lines[index] for index in indices]):
        yield


class LineSpans:
    """The spans of a chunk's lines, made only while the chunk's own is sampled."""

    def __init__(self) -> None:
        self._contexts: dict[int, Context] = {}
        self._open: dict[int, Span] = {}

    @contextmanager
    def answering(self, items: Sequence[Item]) -> Iterator[None]:
        """Spans from now on until their lines are `answered`, or the attempt ends.

        The line of an attempt that fails has no status; there is another span for the next one.
        """
        if not trace.get_current_span().is_recording():
            yield
            return
        spans = {item.index: tracer.start_span("line", attributes=_about(item)) for item in items}
        here = {index: trace.set_span_in_context(span) for index, span in spans.items()}
        self._contexts.update(here)
        self._open = spans
        token = context.attach(context.set_value(_LINES, here))
        try:
            yield
        finally:
            context.detach(token)
            for span in spans.values():
                span.end()

    def answered(self, index: int, outcome: Outcome) -> None:
        """Ends the span of a line."""
        if (span := self._open.pop(index, None)) is not None:
            _end(span, outcome)

    def recalled(self, items: Sequence[Item], done: Mapping[int, Outcome]) -> None:
        """Tells of lines that were answered from memory."""
        if trace.get_current_span().is_recording():
            for item in items:
                if item.index in done:
                    attributes = {**_about(item), "seqway.memo": True}
                    _end(tracer.start_span("line", attributes=attributes), done[item.index])

    def repeated(self, item: Item, first: int, outcome: Outcome) -> None:
        """Tells of a line with the text of the line `first`, which alone was answered."""
        if trace.get_current_span().is_recording():
            known = self._contexts.get(first)
            links = [Link(trace.get_current_span(known).get_span_context())] if known else []
            _end(tracer.start_span("line", attributes=_about(item), links=links), outcome)


def _about(item: Item) -> dict[str, str | int | bool]:
    about: dict[str, str | int | bool] = {"seqway.line": item.index}
    return {**about, "seqway.custom_id": item.custom_id} if item.custom_id else about


def _end(span: Span, outcome: Outcome) -> None:
    span.set_attribute("seqway.status", outcome.status.value)
    if outcome.status is not LineStatus.SUCCEEDED:
        span.set_attribute("seqway.reason", outcome.reason)
        span.set_status(Status(StatusCode.ERROR, outcome.reason))
    span.end()
