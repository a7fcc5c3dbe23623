"""Classification: `classify`."""

from collections.abc import Sequence

from seqway import results
from seqway.tasks.arguments import ModelArguments, contents_of
from seqway.tasks.generation import timings
from seqway.transport.method import Method, check_names
from seqway.v1 import classification_pb2 as pb


class ClassifyArguments(ModelArguments, total=False):
    """What `classify` takes beside the text.

    Attributes:
        top_k: The most labels of each text; 0, the default, means all.
        threshold: Only labels with at least this score, from 0 to 1; by default 0.5 for a
            multi-label model and no limit for others.
        multi_label: Whether each label is scored by itself; by default as the checkpoint says.

    """

    top_k: int
    threshold: float | None
    multi_label: bool | None


def classify_request(text: str | Sequence[str], arguments: ClassifyArguments) -> pb.ClassifyRequest:
    """The request for one text or several."""
    check_names(arguments, ClassifyArguments)
    return pb.ClassifyRequest(
        contents=contents_of(text),
        model=arguments.get("model", ""),
        top_k=arguments.get("top_k", 0),
        threshold=arguments.get("threshold"),
        multi_label=arguments.get("multi_label"),
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
