"""`seqway.v1.ClassificationService`."""

from typing import Any, TypeAlias

import grpc
from seqway.v1 import classification_pb2, classification_pb2_grpc

from services.gateway.api.checks import check_classification
from services.gateway.api.messages.classification import job_of, response
from services.gateway.api.settings import TextSettings
from services.gateway.calls.answers import note_account
from services.gateway.calls.deadlines import deadline_of
from services.gateway.calls.settings import CallSettings
from services.inference.tasks.classifier import Classifier

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ClassificationServicer(classification_pb2_grpc.ClassificationServiceServicer):
    """Validates, converts and calls the classifier; raises SeqwayError."""

    def __init__(self, classifier: Classifier, calls: CallSettings, texts: TextSettings) -> None:
        self._classifier = classifier
        self._calls = calls
        self._texts = texts

    async def Classify(  # noqa: N802
        self, request: classification_pb2.ClassifyRequest, context: Context
    ) -> classification_pb2.ClassifyResponse:
        """Answers when all texts are done."""
        check_classification(request, self._texts)
        job = job_of(request, deadline_of(context, self._calls))
        answer = await self._classifier.classify(job)
        note_account(answer.account)
        return response(answer)
