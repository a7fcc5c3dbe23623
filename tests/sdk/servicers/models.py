"""A servicer of some variants, one on a page."""

import grpc
from seqway.v1 import model_pb2 as pb
from seqway.v1.model_pb2_grpc import ModelServiceServicer

from tests.sdk.servicers.classification import CLASSIFIER
from tests.sdk.servicers.fake import Fake
from tests.sdk.servicers.translation import VARIANT
from tests.sdk.status import FakeFailure, error_info

MANY = "m2m_fp32"


def translator(name: str) -> pb.Model:
    return pb.Model(
        name=name,
        base_model="en-fr",
        task="translation",
        language_pairs=[pb.LanguagePair(source_language_code="en", target_language_code="fr")],
        precision=name.rpartition("_")[2],
        limits=pb.ModelLimits(max_source_tokens=512, max_target_tokens=256),
        family="pegasus",
        checkpoint_sha256="ab",
        quality={"bleu": 30.1},
        ready=True,
        generation_defaults={"num_beams": 4},
    )


def classifier() -> pb.Model:
    return pb.Model(
        name=CLASSIFIER,
        base_model="deb-section",
        task="classification",
        precision="int8",
        limits=pb.ModelLimits(max_source_tokens=384),
        labels=["editors", "libs", "games", "net", "web", "x11"],
        multi_label=True,
        ready=True,
    )


def many_to_many() -> pb.Model:
    return pb.Model(
        name=MANY,
        base_model="m2m",
        task="translation",
        source_language_codes=["de", "en", "fr"],
        target_language_codes=["de", "en"],
    )


MODELS = {
    CLASSIFIER: classifier(),
    "en-fr_fp32": translator("en-fr_fp32"),
    VARIANT: translator(VARIANT),
    MANY: many_to_many(),
}


class FakeModels(Fake, ModelServiceServicer):
    def ListModels(  # noqa: N802 - the name in the protos
        self, request: pb.ListModelsRequest, context: grpc.ServicerContext
    ) -> pb.ListModelsResponse:
        self.receive(request, context)
        position = int(request.page_token or 0)
        following = position + 1
        return pb.ListModelsResponse(
            models=list(MODELS.values())[position:following],
            next_page_token=str(following) if following < len(MODELS) else "",
        )

    def GetModel(  # noqa: N802 - the name in the protos
        self, request: pb.GetModelRequest, context: grpc.ServicerContext
    ) -> pb.GetModelResponse:
        self.receive(request, context)
        if request.name not in MODELS:
            message = f'no model is named "{request.name}"'
            FakeFailure(
                grpc.StatusCode.NOT_FOUND, message, (error_info("UNKNOWN_MODEL"),)
            ).raise_in(context)
        return pb.GetModelResponse(model=MODELS[request.name])
