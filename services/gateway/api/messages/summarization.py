"""The messages of `seqway.v1.SummarizationService`."""

from collections.abc import Mapping

from seqway.v1 import summarization_pb2 as pb

from services.gateway.api.messages import generation
from services.gateway.api.messages.options import generation_of
from services.inference.rows.account import Account
from services.inference.tasks.summarization.summarizer import (
    SummaryAnswer,
    SummaryLength,
    SummaryOutput,
    SummaryRequest,
)
from services.inference.tasks.summarization.summary import DigestDelta, DigestEnd, DigestProgress

Request = pb.SummarizeRequest | pb.StreamSummarizeRequest

_LENGTHS: Mapping[int, SummaryLength] = {
    pb.SUMMARY_LENGTH_UNSPECIFIED: SummaryLength.FREE,
    pb.SUMMARY_LENGTH_SHORT: SummaryLength.SHORT,
    pb.SUMMARY_LENGTH_MEDIUM: SummaryLength.MEDIUM,
    pb.SUMMARY_LENGTH_LONG: SummaryLength.LONG,
}


def job_of(request: Request, deadline: float) -> SummaryRequest:
    """The job of a request whose fields, but for the options, have been checked."""
    return SummaryRequest(
        contents=list(request.contents),
        deadline=deadline,
        language=request.language_code or "en",
        model=request.model,
        generation=generation_of(request.options),
        length=_LENGTHS[request.length],
    )


def unary_response(answer: SummaryAnswer) -> pb.SummarizeResponse:
    """The unary answer."""
    pairs = zip(answer.texts, answer.ends, strict=True)
    return pb.SummarizeResponse(
        summaries=[_summary(text, end) for text, end in pairs],
        model=answer.account.variant,
        timings=generation.timings(answer.account),
    )


def stream_response(output: SummaryOutput) -> pb.StreamSummarizeResponse:
    """One message of the stream."""
    if isinstance(output, DigestDelta):
        delta = pb.SummaryDelta(content_index=output.content, text=output.text)
        return pb.StreamSummarizeResponse(delta=delta)
    if isinstance(output, DigestProgress):
        return pb.StreamSummarizeResponse(progress=_progress(output))
    if isinstance(output, DigestEnd):
        end = pb.SummaryEnd(content_index=output.content, summary=_summary("", output))
        return pb.StreamSummarizeResponse(end=end)
    return pb.StreamSummarizeResponse(summary=_closing(output))


def _progress(progress: DigestProgress) -> pb.SummaryProgress:
    return pb.SummaryProgress(
        content_index=progress.content,
        level=progress.level,
        parts_done=progress.parts_done,
        parts_total=progress.parts_total,
    )


def _summary(text: str, end: DigestEnd) -> pb.Summary:
    return pb.Summary(
        text=text,
        parts=[
            pb.SummaryPart(
                source_start=each.source_start, source_end=each.source_end, text=each.text
            )
            for each in end.parts
        ],
        levels=end.levels,
        dropped=[
            pb.DroppedSpan(
                source_start=each.source_start, source_end=each.source_end, reason=each.reason
            )
            for each in end.dropped
        ],
        finish_reason=generation.finish_reason(end.finish_reason),
        token_counts=generation.token_counts(end.input_tokens, end.output_tokens),
        score=end.score,
        log_prob=end.log_prob,
        tokens=generation.tokens(end.tokens),
        alternatives=generation.hypotheses(end.alternatives),
        warnings=end.warnings,
    )


def _closing(account: Account) -> pb.StreamSummarizeSummary:
    return pb.StreamSummarizeSummary(
        finish_reason=generation.finish_reason(account.finish_reason),
        token_counts=generation.token_counts(account.input_tokens, account.output_tokens),
        timings=generation.timings(account),
        model=account.variant,
    )
