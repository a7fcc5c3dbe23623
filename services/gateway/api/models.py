"""`seqway.v1.ModelService`: the servicer, and the description of a variant."""

from seqway.v1 import model_pb2 as pb
from seqway.v1 import model_pb2_grpc

from services.gateway.api.pages import page_size, text_of, token_of
from services.gateway.calls.handlers import Context
from services.inference.errors import MissingFieldError, TritonUnavailableError
from services.inference.models.catalogue import Catalogue, Variant


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Answers from the catalogue; raises ServiceError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def ListModels(  # noqa: N802
        self, request: pb.ListModelsRequest, _context: Context
    ) -> pb.ListModelsResponse:
        """A page of variants, by name; a page token names the last variant of the page before."""
        size = page_size(request.page_size)
        after = text_of(request.page_token, "page_token")
        variants = [each for each in self._known() if each.name > after]
        page = variants[:size]
        return pb.ListModelsResponse(
            models=[_model(variant) for variant in page],
            next_page_token=token_of(page[-1].name) if len(variants) > size else "",
        )

    async def GetModel(  # noqa: N802
        self, request: pb.GetModelRequest, _context: Context
    ) -> pb.GetModelResponse:
        """One variant."""
        if not request.name:
            raise MissingFieldError("name is required", field="name")
        return pb.GetModelResponse(model=_model(self._catalogue.get(request.name)))

    def _known(self) -> list[Variant]:
        variants = self._catalogue.variants()
        if not variants and not self._catalogue.reachable:
            raise TritonUnavailableError("Triton does not answer")
        return variants


def _model(variant: Variant) -> pb.Model:
    manifest = variant.manifest
    return pb.Model(
        name=manifest.name,
        base_model=manifest.base_model,
        task=manifest.task,
        language_pairs=[
            pb.LanguagePair(source_language_code=source, target_language_code=target)
            for source, target in manifest.language_pairs
        ],
        precision=manifest.precision,
        limits=pb.ModelLimits(
            max_source_tokens=manifest.max_source_tokens,
            max_target_tokens=manifest.max_target_tokens,
        ),
        family=manifest.family,
        checkpoint_sha256=manifest.checkpoint_sha256,
        quality=manifest.quality,
        ready=variant.ready,
        source_language_codes=manifest.source_languages,
        target_language_codes=manifest.target_languages,
        labels=manifest.labels,
        multi_label=manifest.multi_label,
        generation_defaults=manifest.generation_defaults,
    )
