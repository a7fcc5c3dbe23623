"""`seqway.v1.ModelService`."""

import base64
import binascii
from typing import Any, TypeAlias

import grpc
from seqway.v1 import model_pb2, model_pb2_grpc

from services.gateway.api.messages.models import model_message
from services.inference.errors import (
    InvalidOptionError,
    InvalidPageTokenError,
    MissingFieldError,
    TritonUnavailableError,
)
from services.inference.models.catalogue import Catalogue, Variant

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Answers from the catalogue; raises SeqwayError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def ListModels(  # noqa: N802
        self, request: model_pb2.ListModelsRequest, _context: Context
    ) -> model_pb2.ListModelsResponse:
        """A page of variants, by name; a page token names the last variant of the page before."""
        size = _page_size(request.page_size)
        after = _name_of(request.page_token)
        variants = [each for each in self._known() if each.name > after]
        page = variants[:size]
        more = len(variants) > size
        return model_pb2.ListModelsResponse(
            models=[model_message(variant) for variant in page],
            next_page_token=_token_of(page[-1].name) if more else "",
        )

    async def GetModel(  # noqa: N802
        self, request: model_pb2.GetModelRequest, _context: Context
    ) -> model_pb2.GetModelResponse:
        """One variant."""
        if not request.name:
            raise MissingFieldError("name is required", field="name")
        return model_pb2.GetModelResponse(model=model_message(self._catalogue.get(request.name)))

    def _known(self) -> list[Variant]:
        variants = self._catalogue.variants()
        if not variants and not self._catalogue.reachable:
            raise TritonUnavailableError("Triton does not answer")
        return variants


def _page_size(asked: int) -> int:
    if asked < 0:
        raise InvalidOptionError("page_size must not be negative", field="page_size")
    return min(asked or DEFAULT_PAGE, LARGEST_PAGE)


def _token_of(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _name_of(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidPageTokenError("page_token is not valid", field="page_token") from None
