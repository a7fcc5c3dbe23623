"""The models that are served: `list_models` and `get_model`."""

from dataclasses import dataclass

from seqway import results
from seqway.transport.method import Method
from seqway.v1 import model_pb2 as pb


@dataclass(frozen=True)
class Page:
    """Some of the variants; `following` asks for more and is None on the last page."""

    models: tuple[results.Model, ...]
    following: pb.ListModelsRequest | None


def _page(response: pb.ListModelsResponse) -> Page:
    token = response.next_page_token
    return Page(
        models=tuple(_model(one) for one in response.models),
        following=pb.ListModelsRequest(page_token=token) if token else None,
    )


def _get_result(response: pb.GetModelResponse) -> results.Model:
    return _model(response.model)


def _model(message: pb.Model) -> results.Model:
    return results.Model(
        name=message.name,
        base_model=message.base_model,
        task=message.task,
        language_pairs=tuple(
            results.LanguagePair(pair.source_language_code, pair.target_language_code)
            for pair in message.language_pairs
        ),
        source_languages=tuple(message.source_language_codes),
        target_languages=tuple(message.target_language_codes),
        labels=tuple(message.labels),
        multi_label=message.multi_label,
        precision=message.precision,
        max_source_tokens=message.limits.max_source_tokens,
        max_target_tokens=message.limits.max_target_tokens,
        generation_defaults=dict(message.generation_defaults),
        family=message.family,
        checkpoint_sha256=message.checkpoint_sha256,
        quality=dict(message.quality),
        ready=message.ready,
    )


LIST_MODELS = Method(
    "/seqway.v1.ModelService/ListModels",
    pb.ListModelsRequest,
    pb.ListModelsResponse,
    _page,
)
GET_MODEL = Method(
    "/seqway.v1.ModelService/GetModel",
    pb.GetModelRequest,
    pb.GetModelResponse,
    _get_result,
)
