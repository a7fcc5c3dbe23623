"""`seqway.v1.SummarizationService`."""

from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from seqway.v1 import summarization_pb2, summarization_pb2_grpc

from services.gateway.api.checks import check_summarization
from services.gateway.api.messages.summarization import (
    Request,
    job_of,
    stream_response,
    unary_response,
)
from services.gateway.api.settings import TextSettings
from services.gateway.calls.answers import FirstDelta, note_account
from services.gateway.calls.deadlines import deadline_of
from services.gateway.calls.settings import CallSettings
from services.inference.rows.account import Account
from services.inference.tasks.summarization.summarizer import Summarizer, SummaryRequest

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class SummarizationServicer(summarization_pb2_grpc.SummarizationServiceServicer):
    """Validates, converts and calls the summarizer; raises SeqwayError."""

    def __init__(self, summarizer: Summarizer, calls: CallSettings, texts: TextSettings) -> None:
        self._summarizer = summarizer
        self._calls = calls
        self._texts = texts

    async def Summarize(  # noqa: N802
        self, request: summarization_pb2.SummarizeRequest, context: Context
    ) -> summarization_pb2.SummarizeResponse:
        """Answers when all texts are done."""
        answer = await self._summarizer.summarize(self._job(request, context))
        note_account(answer.account)
        return unary_response(answer)

    async def StreamSummarize(  # type: ignore[override]  # noqa: N802
        self, request: summarization_pb2.StreamSummarizeRequest, context: Context
    ) -> None:
        """Writes what is ready as it is made.

        Not a generator: a caller who leaves must end the work at once, and a generator that
        is cancelled between two messages is only closed when it is collected.
        """
        first = FirstDelta()
        async with aclosing(self._summarizer.stream(self._job(request, context))) as outputs:
            async for output in outputs:
                await context.write(stream_response(output))
                first.note()
                if isinstance(output, Account):
                    note_account(output)

    def _job(self, request: Request, context: Context) -> SummaryRequest:
        check_summarization(request, self._texts)
        return job_of(request, deadline_of(context, self._calls))
