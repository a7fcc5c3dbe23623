"""The synchronous client."""

from collections.abc import Sequence
from typing import Self, Unpack

from seqway.aio.calls import Calls
from seqway.aio.streams import SummaryStream, TranslationStream
from seqway.results import AskResult, ClassifyResult, Model, SummarizeResult, TranslateResult
from seqway.sync.jobs import Jobs
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


class Client:
    """Calls a Seqway server.  Safe to share between threads; close it, or use it with `with`.

    `address` is "host:port", or "dns:///host:port" to spread calls over all hosts behind a name; by
    default SEQWAY_ADDRESS, else 127.0.0.1:50051.  `timeout` in seconds bounds every call that has
    none of its own, but for those of `jobs`, which may take hours.

    `tls` True encrypts the connection, `TlsFiles` names the files for it; by default there is TLS
    when SEQWAY_TLS_CA, or SEQWAY_TLS_CERTIFICATE and SEQWAY_TLS_KEY, name files.  `api_key` says
    who calls; by default SEQWAY_API_KEY.  `tenant` is whose jobs it works on where the server asks
    for no key; by default SEQWAY_TENANT.

    A call that the server has no room for waits and is sent again, within its timeout; with
    `retry_overloaded` False it fails at once.

    Every call raises a subclass of `SeqwayError` when it fails.  ValueError when the key would go
    over a network in plaintext, unless `allow_plaintext_key`.
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
        self._calls = Calls(address, timeout, access, retry_overloaded=retry_overloaded)
        self.address = self._calls.address
        self.jobs = Jobs(self._calls)

    def translate(
        self, text: str | Sequence[str], **arguments: Unpack[TranslateArguments]
    ) -> TranslateResult:
        """Translates one text or several and waits for all of them.

        Takes `source` and `target`, and may take `mime_type`, `do_not_translate`, `glossary`,
        `options`, `max_new_tokens`, `model` and `timeout`: see `TranslateArguments`.
        """
        return self._calls.unary(
            TRANSLATE, translate_request(TRANSLATE.request, text, arguments), arguments
        )

    def stream_translate(
        self, text: str | Sequence[str], **arguments: Unpack[TranslateArguments]
    ) -> TranslationStream:
        """Starts a translation whose text comes as it is made; arguments as in `translate`.

        A failure is raised by the iteration.
        """
        request = translate_request(STREAM_TRANSLATE.request, text, arguments)
        return self._calls.stream(STREAM_TRANSLATE, request, arguments)

    def summarize(
        self, text: str | Sequence[str], **arguments: Unpack[SummarizeArguments]
    ) -> SummarizeResult:
        """Summarizes one text or several and waits for all of them.

        May take `length`, `language`, `options`, `max_new_tokens`, `model` and `timeout`: see
        `SummarizeArguments`.
        """
        return self._calls.unary(
            SUMMARIZE, summarize_request(SUMMARIZE.request, text, arguments), arguments
        )

    def stream_summarize(
        self, text: str | Sequence[str], **arguments: Unpack[SummarizeArguments]
    ) -> SummaryStream:
        """Starts a summary whose text comes as it is made; arguments as in `summarize`.

        A failure is raised by the iteration.
        """
        request = summarize_request(STREAM_SUMMARIZE.request, text, arguments)
        return self._calls.stream(STREAM_SUMMARIZE, request, arguments)

    def classify(
        self, text: str | Sequence[str], **arguments: Unpack[ClassifyArguments]
    ) -> ClassifyResult:
        """Classifies one text or several.

        May take `top_k`, `threshold`, `multi_label`, `model` and `timeout`: see
        `ClassifyArguments`.
        """
        return self._calls.unary(CLASSIFY, classify_request(text, arguments), arguments)

    def ask(self, question: str, **arguments: Unpack[AskArguments]) -> AskResult:
        """Answers a question about a text.

        Takes `context`, and may take `top_k`, `max_answer_tokens`, `options`, `max_new_tokens`,
        `model` and `timeout`: see `AskArguments`.
        """
        return self._calls.unary(ASK, ask_request(question, arguments), arguments)

    def list_models(self) -> list[Model]:
        """All variants, by name."""
        models: list[Model] = []
        request: ListModelsRequest | None = ListModelsRequest()
        while request is not None:
            page = self._calls.unary(LIST_MODELS, request, {})
            models.extend(page.models)
            request = page.following
        return models

    def get_model(self, name: str) -> Model:
        """One variant; `NotFoundError` when there is none of that name."""
        return self._calls.unary(GET_MODEL, GetModelRequest(name=name), {})

    def check_health(self, service: str = "") -> bool:
        """Whether a service, such as "seqway.v1.TranslationService", serves, or the whole server.

        `NotFoundError` when the server has no such service.
        """
        return self._calls.unary(CHECK_HEALTH, health_request(service), {})

    def close(self) -> None:
        """Ends all calls and frees the connection."""
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
