"""`seqway.v1.SummarizationService`: its servicer, checks and conversion."""

from collections.abc import Mapping

from seqway.v1 import summarization_pb2 as pb
from seqway.v1 import summarization_pb2_grpc

from services.gateway.api import responses
from services.gateway.api.requests import check_contents, generation_of, language_of
from services.gateway.api.settings import TextSettings
from services.gateway.calls.handlers import Context
from services.gateway.calls.lifetime import deadline_of
from services.gateway.calls.settings import CallSettings
from services.inference.errors import InvalidOptionError
from services.inference.rows.account import Account
from services.inference.tasks.summarization.summarizer import (
    Summarizer,
    SummaryAnswer,
    SummaryLength,
    SummaryOutput,
    SummaryRequest,
)
from services.inference.tasks.summarization.summary import (
    CompletedSummary,
    PartsProgress,
    SummaryTextDelta,
)

Message = pb.SummarizeRequest | pb.StreamSummarizeRequest

_LENGTHS: Mapping[int, SummaryLength] = {
    pb.SUMMARY_LENGTH_UNSPECIFIED: SummaryLength.FREE,
    pb.SUMMARY_LENGTH_SHORT: SummaryLength.SHORT,
    pb.SUMMARY_LENGTH_MEDIUM: SummaryLength.MEDIUM,
    pb.SUMMARY_LENGTH_LONG: SummaryLength.LONG,
}


class SummarizationServicer(summarization_pb2_grpc.SummarizationServiceServicer):
    """Checks, converts and calls the summarizer; raises ServiceError."""

    def __init__(self, summarizer: Summarizer, calls: CallSettings, texts: TextSettings) -> None:
        self._summarizer = summarizer
        self._calls = calls
        self._texts = texts

    async def Summarize(  # noqa: N802
        self, request: pb.SummarizeRequest, context: Context
    ) -> pb.SummarizeResponse:
        """Answers when all texts are done."""
        answer = await self._summarizer.summarize(self._request(request, context))
        responses.record_account(answer.account)
        return _unary_response(answer)

    async def StreamSummarize(  # type: ignore[override]  # noqa: N802
        self, request: pb.StreamSummarizeRequest, context: Context
    ) -> None:
        """Writes what is ready as it is made."""
        outputs = self._summarizer.stream(self._request(request, context))
        await responses.stream_answer(context, outputs, _stream_response)

    def _request(self, message: Message, context: Context) -> SummaryRequest:
        check(message, self._texts)
        return request_of(message, deadline_of(context, self._calls))


def check(message: Message, settings: TextSettings, *, in_job: bool = False) -> None:
    """Checks all that can be checked without knowing the models; in a job there are no texts."""
    check_contents(message.contents, settings, in_job=in_job)
    if message.length not in _LENGTHS:
        raise InvalidOptionError(f"unknown length {message.length}", field="length")


def request_of(message: Message, deadline: float) -> SummaryRequest:
    """The request in a message that has been checked; options are checked here."""
    return SummaryRequest(
        contents=list(message.contents),
        deadline=deadline,
        language=language_of("language_code", message.language_code or "en"),
        model=message.model,
        generation=generation_of(message.options),
        length=_LENGTHS[message.length],
    )


def _unary_response(answer: SummaryAnswer) -> pb.SummarizeResponse:
    pairs = zip(answer.texts, answer.ends, strict=True)
    return pb.SummarizeResponse(
        summaries=[_summary(text, end) for text, end in pairs],
        model=answer.account.variant,
        timings=responses.timings(answer.account),
    )


def _stream_response(output: SummaryOutput) -> pb.StreamSummarizeResponse:
    if isinstance(output, SummaryTextDelta):
        delta = pb.SummaryDelta(content_index=output.content, text=output.text)
        return pb.StreamSummarizeResponse(delta=delta)
    if isinstance(output, PartsProgress):
        return pb.StreamSummarizeResponse(progress=_progress(output))
    if isinstance(output, CompletedSummary):
        end = pb.SummaryEnd(content_index=output.content, summary=_summary("", output))
        return pb.StreamSummarizeResponse(end=end)
    return pb.StreamSummarizeResponse(summary=_closing(output))


def _progress(progress: PartsProgress) -> pb.SummaryProgress:
    return pb.SummaryProgress(
        content_index=progress.content,
        level=progress.level,
        parts_done=progress.parts_done,
        parts_total=progress.parts_total,
    )


def _summary(text: str, end: CompletedSummary) -> pb.Summary:
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
        finish_reason=responses.finish_reason(end.finish_reason),
        token_counts=responses.token_counts(end.input_tokens, end.output_tokens),
        score=end.score,
        log_prob=end.log_prob,
        tokens=responses.tokens(end.tokens),
        alternatives=responses.hypotheses(end.alternatives),
        warnings=end.warnings,
    )


def _closing(account: Account) -> pb.StreamSummarizeSummary:
    return pb.StreamSummarizeSummary(
        finish_reason=responses.finish_reason(account.finish_reason),
        token_counts=responses.token_counts(account.input_tokens, account.output_tokens),
        timings=responses.timings(account),
        model=account.variant,
    )
