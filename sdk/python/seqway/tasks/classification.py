"""Classification: `classify`."""

from collections.abc import Sequence

from seqway import results
from seqway.tasks.arguments import contents_of
from seqway.tasks.generation import timings
from seqway.transport.method import Method
from seqway.v1 import classification_pb2 as pb


def classify_request(
    text: str | Sequence[str],
    *,
    top_k: int,
    threshold: float | None,
    multi_label: bool | None,
    model: str,
) -> pb.ClassifyRequest:
    """The request for one text or several."""
    return pb.ClassifyRequest(
        contents=contents_of(text),
        model=model,
        top_k=top_k,
        threshold=threshold,
        multi_label=multi_label,
    )


def _result(response: pb.ClassifyResponse) -> results.ClassifyResult:
    return results.ClassifyResult(
        classifications=tuple(_classification(one) for one in response.classifications),
        model=response.model,
        timings=timings(response.timings),
    )


def _classification(message: pb.Classification) -> results.Classification:
    return results.Classification(
        labels=tuple(results.LabelScore(one.label, one.score, one.logit) for one in message.labels),
        multi_label=message.multi_label,
        windows=message.windows,
        input_tokens=message.input_tokens,
        warnings=tuple(message.warnings),
    )


CLASSIFY = Method(
    "/seqway.v1.ClassificationService/Classify",
    pb.ClassifyRequest,
    pb.ClassifyResponse,
    _result,
)
