"""Summarization: `summarize` and `stream_summarize`."""

from collections.abc import Sequence
from typing import TypeVar

from seqway import events, results
from seqway.options import GenerationOptions, SummaryLength
from seqway.tasks.arguments import contents_of, invalid_field, options_message
from seqway.tasks.generation import (
    finish_reason,
    hypotheses,
    stream_summary,
    timings,
    token_counts,
    token_log_probs,
)
from seqway.transport.method import Method
from seqway.transport.status import unknown_event
from seqway.v1 import summarization_pb2 as pb

_Request = TypeVar("_Request", pb.SummarizeRequest, pb.StreamSummarizeRequest)

_LENGTHS = {
    None: pb.SUMMARY_LENGTH_UNSPECIFIED,
    "short": pb.SUMMARY_LENGTH_SHORT,
    "medium": pb.SUMMARY_LENGTH_MEDIUM,
    "long": pb.SUMMARY_LENGTH_LONG,
}


def summarize_request(
    kind: type[_Request],
    text: str | Sequence[str],
    *,
    language: str,
    length: SummaryLength | None,
    options: GenerationOptions | None,
    max_new_tokens: int | None,
    model: str,
) -> _Request:
    """The request of the unary call, or of the stream."""
    return kind(
        contents=contents_of(text),
        language_code=language,
        model=model,
        options=options_message(options, max_new_tokens),
        length=_length(length),
    )


def _length(length: SummaryLength | None) -> "pb.SummaryLength.ValueType":
    if length not in _LENGTHS:
        raise invalid_field("length", f'must be "short", "medium" or "long", not {length!r}')
    return _LENGTHS[length]


def _result(response: pb.SummarizeResponse) -> results.SummarizeResult:
    return results.SummarizeResult(
        summaries=tuple(_summary(one) for one in response.summaries),
        model=response.model,
        timings=timings(response.timings),
    )


def _event(response: pb.StreamSummarizeResponse) -> events.SummarizeEvent:
    match response.WhichOneof("event"):
        case "delta":
            return events.SummaryDelta(response.delta.content_index, response.delta.text)
        case "end":
            return events.SummaryEnd(response.end.content_index, _summary(response.end.summary))
        case "progress":
            progress = response.progress
            return events.SummaryProgress(
                content_index=progress.content_index,
                level=progress.level,
                parts_done=progress.parts_done,
                parts_total=progress.parts_total,
            )
        case "summary":
            return stream_summary(response.summary)
        case _:
            raise unknown_event()


def _summary(message: pb.Summary) -> results.Summary:
    return results.Summary(
        text=message.text,
        parts=tuple(
            results.SummaryPart(part.source_start, part.source_end, part.text)
            for part in message.parts
        ),
        levels=message.levels,
        dropped=tuple(
            results.DroppedSpan(span.source_start, span.source_end, span.reason)
            for span in message.dropped
        ),
        finish_reason=finish_reason(message.finish_reason),
        token_counts=token_counts(message.token_counts),
        score=message.score,
        log_prob=message.log_prob,
        tokens=token_log_probs(message.tokens),
        alternatives=hypotheses(message.alternatives),
        warnings=tuple(message.warnings),
    )


SUMMARIZE = Method(
    "/seqway.v1.SummarizationService/Summarize",
    pb.SummarizeRequest,
    pb.SummarizeResponse,
    _result,
)
STREAM_SUMMARIZE = Method(
    "/seqway.v1.SummarizationService/StreamSummarize",
    pb.StreamSummarizeRequest,
    pb.StreamSummarizeResponse,
    _event,
)
