"""The messages of `seqway.v1.ClassificationService`."""

from seqway.v1 import classification_pb2 as pb

from services.gateway.api.messages import generation
from services.inference.tasks.classifier import (
    ClassificationAnswer,
    ClassificationRequest,
    TextLabels,
)


def job_of(request: pb.ClassifyRequest, deadline: float) -> ClassificationRequest:
    """The job of a request that has been checked."""
    return ClassificationRequest(
        contents=list(request.contents),
        deadline=deadline,
        model=request.model,
        top_k=request.top_k,
        threshold=request.threshold if request.HasField("threshold") else None,
        multi_label=request.multi_label if request.HasField("multi_label") else None,
    )


def response(answer: ClassificationAnswer) -> pb.ClassifyResponse:
    """The answer."""
    return pb.ClassifyResponse(
        classifications=[_classification(each) for each in answer.classifications],
        model=answer.account.variant,
        timings=generation.timings(answer.account),
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
