"""`seqway.v1.TranslationService`."""

from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from seqway.v1 import translation_pb2, translation_pb2_grpc

from services.gateway.api.checks import check_translation
from services.gateway.api.messages.translation import (
    Request,
    job_of,
    stream_response,
    unary_response,
)
from services.gateway.api.settings import TextSettings
from services.gateway.calls.answers import FirstDelta, note_account
from services.gateway.calls.deadlines import deadline_of
from services.gateway.calls.settings import CallSettings
from services.inference.rows.account import Account
from services.inference.tasks.translation.translator import TranslationRequest, Translator

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class TranslationServicer(translation_pb2_grpc.TranslationServiceServicer):
    """Validates, converts and calls the translator; raises SeqwayError."""

    def __init__(self, translator: Translator, calls: CallSettings, texts: TextSettings) -> None:
        self._translator = translator
        self._calls = calls
        self._texts = texts

    async def Translate(  # noqa: N802
        self, request: translation_pb2.TranslateRequest, context: Context
    ) -> translation_pb2.TranslateResponse:
        """Answers when all texts are done."""
        answer = await self._translator.translate(self._job(request, context))
        note_account(answer.account)
        return unary_response(answer)

    async def StreamTranslate(  # type: ignore[override]  # noqa: N802
        self, request: translation_pb2.StreamTranslateRequest, context: Context
    ) -> None:
        """Writes what is ready as it is made.

        Not a generator: a caller who leaves must end the translation at once, and a generator that
        is cancelled between two messages is only closed when it is collected.
        """
        first = FirstDelta()
        async with aclosing(self._translator.stream(self._job(request, context))) as outputs:
            async for output in outputs:
                await context.write(stream_response(output))
                first.note()
                if isinstance(output, Account):
                    note_account(output)

    def _job(self, request: Request, context: Context) -> TranslationRequest:
        check_translation(request, self._texts)
        return job_of(request, deadline_of(context, self._calls))
