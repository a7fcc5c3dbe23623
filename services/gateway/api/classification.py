"""`seqway.v1.ClassificationService`: its servicer, checks and conversion."""

import math

from seqway.v1 import classification_pb2 as pb
from seqway.v1 import classification_pb2_grpc

from services.gateway.api import responses
from services.gateway.api.requests import check_contents
from services.gateway.api.settings import TextSettings
from services.gateway.calls.handlers import Context
from services.gateway.calls.lifetime import deadline_of
from services.gateway.calls.settings import CallSettings
from services.inference.errors import InvalidOptionError
from services.inference.tasks.classifier import (
    ClassificationAnswer,
    ClassificationRequest,
    Classifier,
    TextLabels,
)


class ClassificationServicer(classification_pb2_grpc.ClassificationServiceServicer):
    """Checks, converts and calls the classifier; raises ServiceError."""

    def __init__(self, classifier: Classifier, calls: CallSettings, texts: TextSettings) -> None:
        self._classifier = classifier
        self._calls = calls
        self._texts = texts

    async def Classify(  # noqa: N802
        self, request: pb.ClassifyRequest, context: Context
    ) -> pb.ClassifyResponse:
        """Answers when all texts are done."""
        check(request, self._texts)
        classification = request_of(request, deadline_of(context, self._calls))
        answer = await self._classifier.classify(classification)
        responses.record_account(answer.account)
        return _response(answer)


def check(message: pb.ClassifyRequest, settings: TextSettings, *, in_job: bool = False) -> None:
    """Checks all that can be checked without knowing the models; in a job there are no texts."""
    check_contents(message.contents, settings, in_job=in_job)
    if message.top_k < 0:
        raise InvalidOptionError("top_k must not be negative; 0 means all labels", field="top_k")
    if math.isnan(message.threshold) or not 0 <= message.threshold <= 1:
        raise InvalidOptionError("threshold must be from 0 to 1", field="threshold")


def request_of(message: pb.ClassifyRequest, deadline: float) -> ClassificationRequest:
    """The request in a message that has been checked."""
    return ClassificationRequest(
        contents=list(message.contents),
        deadline=deadline,
        model=message.model,
        top_k=message.top_k,
        threshold=message.threshold if message.HasField("threshold") else None,
        multi_label=message.multi_label if message.HasField("multi_label") else None,
    )


def _response(answer: ClassificationAnswer) -> pb.ClassifyResponse:
    return pb.ClassifyResponse(
        classifications=[_classification(each) for each in answer.classifications],
        model=answer.account.variant,
        timings=responses.timings(answer.account),
    )


def _classification(one: TextLabels) -> pb.Classification:
    return pb.Classification(
        labels=[
            pb.LabelScore(label=each.label, score=each.score, logit=each.logit)
            for each in one.labels
        ],
        multi_label=one.multi_label,
        windows=one.windows,
        input_tokens=one.input_tokens,
        warnings=one.warnings,
    )
