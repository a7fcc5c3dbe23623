"""The synchronous client."""

from collections.abc import Sequence
from typing import Self

import grpc

from seqway import messages
from seqway.channel import CHANNEL_OPTIONS, resolve_address, resolve_credentials
from seqway.results import Model, TranslateResult
from seqway.status import error_of
from seqway.streams import TranslationStream
from seqway.v1.model_pb2 import GetModelRequest, ListModelsRequest
from seqway.v1.model_pb2_grpc import ModelServiceStub
from seqway.v1.translation_pb2_grpc import TranslationServiceStub


class Client:
    """Calls a Seqway server.  Safe to share between threads; close it, or use it with `with`.

    `address` is "host:port", or "dns:///host:port" to spread calls over all hosts behind a name; by
    default SEQWAY_ADDRESS, else 127.0.0.1:50051.  `timeout` in seconds bounds every call that has
    none of its own.  Every call raises a subclass of `SeqwayError` when it fails.
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
            grpc.insecure_channel(self.address, options=CHANNEL_OPTIONS)
            if credentials is None
            else grpc.secure_channel(self.address, credentials, options=CHANNEL_OPTIONS)
        )
        self._translation = TranslationServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)

    def translate(
        self,
        text: str | Sequence[str],
        *,
        source: str,
        target: str,
        model: str = "",
        max_new_tokens: int = 0,
        timeout: float | None = None,
    ) -> TranslateResult:
        """Translates one text or several and waits for all of them.

        `source` and `target` are BCP-47 codes; `model` is a model or a variant, and by default the
        server's choice; `max_new_tokens` bounds each sentence, 0 being the model's own limit.
        """
        request = messages.translate_request(text, source, target, model, max_new_tokens)
        try:
            response = self._translation.Translate(request, timeout=self._deadline(timeout))
        except grpc.RpcError as failure:
            raise error_of(failure) from None
        return messages.translate_result(response)

    def stream_translate(
        self,
        text: str | Sequence[str],
        *,
        source: str,
        target: str,
        model: str = "",
        max_new_tokens: int = 0,
        timeout: float | None = None,
    ) -> TranslationStream:
        """Starts a translation whose text comes as it is made; arguments as in `translate`.

        A failure is raised by the iteration.
        """
        request = messages.stream_translate_request(text, source, target, model, max_new_tokens)
        call = self._translation.StreamTranslate(request, timeout=self._deadline(timeout))
        return TranslationStream(call)

    def list_models(self) -> list[Model]:
        """All variants, by name."""
        models: list[Model] = []
        request = ListModelsRequest()
        while True:
            try:
                page = self._models.ListModels(request, timeout=self._timeout)
            except grpc.RpcError as failure:
                raise error_of(failure) from None
            models.extend(messages.model_of(one) for one in page.models)
            if not page.next_page_token:
                return models
            request = ListModelsRequest(page_token=page.next_page_token)

    def get_model(self, name: str) -> Model:
        """One variant; `NotFoundError` when there is none of that name."""
        try:
            response = self._models.GetModel(GetModelRequest(name=name), timeout=self._timeout)
        except grpc.RpcError as failure:
            raise error_of(failure) from None
        return messages.model_of(response.model)

    def _deadline(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else timeout

    def close(self) -> None:
        """Ends all calls and frees the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
