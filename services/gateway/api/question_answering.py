"""`seqway.v1.QuestionAnsweringService`."""

from typing import Any, TypeAlias

import grpc
from seqway.v1 import question_answering_pb2, question_answering_pb2_grpc

from services.gateway.api.checks import check_question
from services.gateway.api.messages.question_answering import question_of, response
from services.gateway.api.settings import TextSettings
from services.gateway.calls.answers import note_account
from services.gateway.calls.deadlines import deadline_of
from services.gateway.calls.settings import CallSettings
from services.inference.tasks.question_answering.answerer import Answerer

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class QuestionAnsweringServicer(question_answering_pb2_grpc.QuestionAnsweringServiceServicer):
    """Validates, converts and calls the answerer; raises SeqwayError."""

    def __init__(self, answerer: Answerer, calls: CallSettings, texts: TextSettings) -> None:
        self._answerer = answerer
        self._calls = calls
        self._texts = texts

    async def AnswerQuestion(  # noqa: N802
        self, request: question_answering_pb2.AnswerQuestionRequest, context: Context
    ) -> question_answering_pb2.AnswerQuestionResponse:
        """Answers when every window of the context is read."""
        check_question(request, self._texts)
        question = question_of(request, deadline_of(context, self._calls))
        answers = await self._answerer.answer(question)
        note_account(answers.account)
        return response(answers)
