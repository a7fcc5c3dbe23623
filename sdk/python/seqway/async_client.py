"""The client for asyncio."""

from collections.abc import Sequence
from typing import Self, Unpack

import grpc
import grpc.aio

from seqway.channel import CHANNEL_OPTIONS, resolve_address, resolve_credentials
from seqway.method import CallArguments, Method, Request, Response, Result
from seqway.results import AskResult, ClassifyResult, Model, SummarizeResult, TranslateResult
from seqway.status import error_of
from seqway.streams import AsyncStream, AsyncSummaryStream, AsyncTranslationStream
from seqway.tasks.classification import CLASSIFY, ClassifyArguments, classify_request
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
from seqway.v1.model_pb2 import GetModelRequest, ListModelsRequest


class AsyncClient:
    """`Client` for asyncio, with the same arguments, results and exceptions.

    Build it inside the event loop that uses it.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        tls: bool | grpc.ChannelCredentials = False,
        timeout: float = 60.0,
    ) -> None:
        self.address = resolve_address(address)
        self._timeout = timeout
        credentials = resolve_credentials(tls)
        self._channel = (
            grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
            if credentials is None
            else grpc.aio.secure_channel(self.address, credentials, options=CHANNEL_OPTIONS)
        )

    async def translate(
        self, text: str | Sequence[str], **arguments: Unpack[TranslateArguments]
    ) -> TranslateResult:
        """See `Client.translate`."""
        return await self._call(
            TRANSLATE, translate_request(TRANSLATE.request, text, arguments), arguments
        )

    def stream_translate(
        self, text: str | Sequence[str], **arguments: Unpack[TranslateArguments]
    ) -> AsyncTranslationStream:
        """See `Client.stream_translate`."""
        request = translate_request(STREAM_TRANSLATE.request, text, arguments)
        return self._stream(STREAM_TRANSLATE, request, arguments)

    async def summarize(
        self, text: str | Sequence[str], **arguments: Unpack[SummarizeArguments]
    ) -> SummarizeResult:
        """See `Client.summarize`."""
        return await self._call(
            SUMMARIZE, summarize_request(SUMMARIZE.request, text, arguments), arguments
        )

    def stream_summarize(
        self, text: str | Sequence[str], **arguments: Unpack[SummarizeArguments]
    ) -> AsyncSummaryStream:
        """See `Client.stream_summarize`."""
        request = summarize_request(STREAM_SUMMARIZE.request, text, arguments)
        return self._stream(STREAM_SUMMARIZE, request, arguments)

    async def classify(
        self, text: str | Sequence[str], **arguments: Unpack[ClassifyArguments]
    ) -> ClassifyResult:
        """See `Client.classify`."""
        return await self._call(CLASSIFY, classify_request(text, arguments), arguments)

    async def ask(self, question: str, **arguments: Unpack[AskArguments]) -> AskResult:
        """See `Client.ask`."""
        return await self._call(ASK, ask_request(question, arguments), arguments)

    async def list_models(self) -> list[Model]:
        """All variants, by name."""
        models: list[Model] = []
        request: ListModelsRequest | None = ListModelsRequest()
        while request is not None:
            page = await self._call(LIST_MODELS, request, {})
            models.extend(page.models)
            request = page.following
        return models

    async def get_model(self, name: str) -> Model:
        """One variant; `NotFoundError` when there is none of that name."""
        return await self._call(GET_MODEL, GetModelRequest(name=name), {})

    async def _call(
        self,
        method: Method[Request, Response, Result],
        request: Request,
        arguments: CallArguments,
    ) -> Result:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, Response] = self._channel.unary_unary(
            method.path, response_deserializer=method.response.FromString
        )
        try:
            return method.result(
                await call(method.serialize(request), timeout=self._deadline(arguments))
            )
        except grpc.RpcError as failure:
            raise error_of(failure) from None

    def _stream(
        self,
        method: Method[Request, Response, Result],
        request: Request,
        arguments: CallArguments,
    ) -> AsyncStream[Result]:
        call: grpc.aio.UnaryStreamMultiCallable[bytes, Response] = self._channel.unary_stream(
            method.path, response_deserializer=method.response.FromString
        )
        responses = call(method.serialize(request), timeout=self._deadline(arguments))
        return AsyncStream(responses, method.result)

    def _deadline(self, arguments: CallArguments) -> float:
        timeout = arguments.get("timeout")
        return self._timeout if timeout is None else timeout

    async def close(self) -> None:
        """Ends all calls and frees the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
