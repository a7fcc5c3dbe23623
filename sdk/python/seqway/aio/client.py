"""The client for asyncio."""

from collections.abc import Sequence
from typing import Self, Unpack

from seqway.aio.calls import AsyncCalls
from seqway.aio.jobs import AsyncJobs
from seqway.aio.streams import AsyncSummaryStream, AsyncTranslationStream
from seqway.results import AskResult, ClassifyResult, Model, SummarizeResult, TranslateResult
from seqway.tasks.classification import CLASSIFY, ClassifyArguments, classify_request
from seqway.tasks.health import CHECK_HEALTH, health_request
from seqway.tasks.models import GET_MODEL, LIST_MODELS
from seqway.tasks.question_answering import ASK, AskArguments, ask_request
from seqway.tasks.summarization import (
    STREAM_SUMMARIZE,
    SUMMARIZE,
    SummarizeArguments,
    summarize_request,
)
from seqway.tasks.translation import (
    STREAM_TRANSLATE,
    TRANSLATE,
    TranslateArguments,
    translate_request,
)
from seqway.transport.security import Access, Tls
from seqway.v1.model_pb2 import GetModelRequest, ListModelsRequest


class AsyncClient:
    """`Client` for asyncio, with the same arguments, results and exceptions.

    It connects when it is first used, to the event loop that runs then.  Used in another one later,
    as with several `asyncio.run`, it connects anew.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        tls: Tls | None = None,
        timeout: float = 60.0,
        tenant: str | None = None,
        api_key: str | None = None,
        allow_plaintext_key: bool = False,
        retry_overloaded: bool = True,
    ) -> None:
        access = Access(tls, tenant, api_key, allow_plaintext_key)
        self._calls = AsyncCalls(address, timeout, access, retry_overloaded=retry_overloaded)
        self.address = self._calls.address
        self.jobs = AsyncJobs(self._calls)

    async def translate(
        self, text: str | Sequence[str], **arguments: Unpack[TranslateArguments]
    ) -> TranslateResult:
        """See `Client.translate`."""
        return await self._calls.unary(
            TRANSLATE, translate_request(TRANSLATE.request, text, arguments), arguments
        )

    def stream_translate(
        self, text: str | Sequence[str], **arguments: Unpack[TranslateArguments]
    ) -> AsyncTranslationStream:
        """See `Client.stream_translate`."""
        request = translate_request(STREAM_TRANSLATE.request, text, arguments)
        return self._calls.stream(STREAM_TRANSLATE, request, arguments)

    async def summarize(
        self, text: str | Sequence[str], **arguments: Unpack[SummarizeArguments]
    ) -> SummarizeResult:
        """See `Client.summarize`."""
        return await self._calls.unary(
            SUMMARIZE, summarize_request(SUMMARIZE.request, text, arguments), arguments
        )

    def stream_summarize(
        self, text: str | Sequence[str], **arguments: Unpack[SummarizeArguments]
    ) -> AsyncSummaryStream:
        """See `Client.stream_summarize`."""
        request = summarize_request(STREAM_SUMMARIZE.request, text, arguments)
        return self._calls.stream(STREAM_SUMMARIZE, request, arguments)

    async def classify(
        self, text: str | Sequence[str], **arguments: Unpack[ClassifyArguments]
    ) -> ClassifyResult:
        """See `Client.classify`."""
        return await self._calls.unary(CLASSIFY, classify_request(text, arguments), arguments)

    async def ask(self, question: str, **arguments: Unpack[AskArguments]) -> AskResult:
        """See `Client.ask`."""
        return await self._calls.unary(ASK, ask_request(question, arguments), arguments)

    async def list_models(self) -> list[Model]:
        """All variants, by name."""
        models: list[Model] = []
        request: ListModelsRequest | None = ListModelsRequest()
        while request is not None:
            page = await self._calls.unary(LIST_MODELS, request, {})
            models.extend(page.models)
            request = page.following
        return models

    async def get_model(self, name: str) -> Model:
        """One variant; `NotFoundError` when there is none of that name."""
        return await self._calls.unary(GET_MODEL, GetModelRequest(name=name), {})

    async def check_health(self, service: str = "") -> bool:
        """See `Client.check_health`."""
        return await self._calls.unary(CHECK_HEALTH, health_request(service), {})

    async def close(self) -> None:
        """Ends all calls and frees the connection."""
        await self._calls.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
