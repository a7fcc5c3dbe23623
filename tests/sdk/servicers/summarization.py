"""A servicer that "summarizes" to the first word of each half."""

from collections.abc import Iterator

import grpc
from seqway.v1 import generation_pb2
from seqway.v1 import summarization_pb2 as pb
from seqway.v1.summarization_pb2_grpc import SummarizationServiceServicer

from tests.sdk.servicers.fake import (
    Fake,
    alternatives,
    finish_reason,
    timings,
    token_counts,
    tokens,
    warnings,
)

SUMMARIZER = "deb-summary_int8"
Request = pb.SummarizeRequest | pb.StreamSummarizeRequest


def words_of(text: str) -> list[str]:
    half = len(text) // 2
    return [text[:half].split()[0], text[half:].split()[0]]


def summary_of(text: str, request: Request) -> pb.Summary:
    half = len(text) // 2
    return pb.Summary(
        text=" ".join(words_of(text)),
        parts=[
            pb.SummaryPart(source_start=0, source_end=half, text=words_of(text)[0]),
            pb.SummaryPart(source_start=half, source_end=len(text), text=words_of(text)[1]),
        ],
        levels=1,
        dropped=[pb.DroppedSpan(source_start=2000, source_end=2005, reason="it is too long")]
        if "drop" in text
        else [],
        finish_reason=finish_reason(text),
        token_counts=token_counts(),
        score=-0.75,
        log_prob=-1.5,
        tokens=tokens(request.options),
        alternatives=alternatives(request.options),
        warnings=warnings(text),
    )


class FakeSummarization(Fake, SummarizationServiceServicer):
    def Summarize(  # noqa: N802 - the name in the protos
        self, request: pb.SummarizeRequest, context: grpc.ServicerContext
    ) -> pb.SummarizeResponse:
        self.receive(request, context)
        return pb.SummarizeResponse(
            summaries=[summary_of(text, request) for text in request.contents],
            model=SUMMARIZER,
            timings=timings(),
        )

    def StreamSummarize(  # noqa: N802 - the name in the protos
        self, request: pb.StreamSummarizeRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.StreamSummarizeResponse]:
        """Text after text: progress, two deltas, the end."""
        self.receive(request, context)
        for index, text in enumerate(request.contents):
            yield pb.StreamSummarizeResponse(
                progress=pb.SummaryProgress(content_index=index, parts_done=1, parts_total=2)
            )
            first, second = words_of(text)
            for word in (first, f" {second}"):
                delta = pb.SummaryDelta(content_index=index, text=word)
                yield pb.StreamSummarizeResponse(delta=delta)
                self.hold()
            summary = summary_of(text, request)
            summary.text = ""
            end = pb.SummaryEnd(content_index=index, summary=summary)
            yield pb.StreamSummarizeResponse(end=end)
        yield pb.StreamSummarizeResponse(
            summary=pb.StreamSummarizeSummary(
                finish_reason=generation_pb2.FINISH_REASON_EOS,
                token_counts=token_counts(),
                timings=timings(),
                model=SUMMARIZER,
            )
        )
