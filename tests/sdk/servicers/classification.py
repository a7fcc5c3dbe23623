"""A servicer whose labels share three fixed scores."""

import grpc
from seqway.v1 import classification_pb2 as pb
from seqway.v1.classification_pb2_grpc import ClassificationServiceServicer

from tests.sdk.servicers.fake import Fake, timings, warnings

CLASSIFIER = "deb-section_int8"
SCORES = {"editors": 0.7, "libs": 0.2, "games": 0.1}


def classification_of(text: str, request: pb.ClassifyRequest) -> pb.Classification:
    return pb.Classification(
        labels=[
            pb.LabelScore(label=label, score=score, logit=10 * score)
            for label, score in SCORES.items()
            if score >= request.threshold
        ][: request.top_k or None],
        multi_label=request.multi_label,
        windows=1,
        input_tokens=len(text),
        warnings=warnings(text),
    )


class FakeClassification(Fake, ClassificationServiceServicer):
    def Classify(  # noqa: N802 - the name in the protos
        self, request: pb.ClassifyRequest, context: grpc.ServicerContext
    ) -> pb.ClassifyResponse:
        self.receive(request, context)
        return pb.ClassifyResponse(
            classifications=[classification_of(text, request) for text in request.contents],
            model=CLASSIFIER,
            timings=timings(),
        )
