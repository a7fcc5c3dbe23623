"""`seqway.v1.TranslationService`: its servicer, checks and conversion."""

from seqway.v1 import translation_pb2 as pb
from seqway.v1 import translation_pb2_grpc

from services.gateway.api import responses
from services.gateway.api.requests import (
    check_contents,
    check_required,
    check_text,
    generation_of,
    language_of,
)
from services.gateway.api.settings import TextSettings
from services.gateway.calls.handlers import Context
from services.gateway.calls.lifetime import deadline_of
from services.gateway.calls.settings import CallSettings
from services.inference.errors import InvalidOptionError
from services.inference.rows.account import Account
from services.inference.tasks.translation.document import (
    DocumentDelta,
    DocumentEnd,
    TranslatedSegment,
)
from services.inference.tasks.translation.translator import (
    Output,
    TranslationAnswer,
    TranslationRequest,
    Translator,
)
from services.inference.text.media_types import mime_type_of
from services.inference.text.terms import TermEntry

Message = pb.TranslateRequest | pb.StreamTranslateRequest


class TranslationServicer(translation_pb2_grpc.TranslationServiceServicer):
    """Checks, converts and calls the translator; raises ServiceError."""

    def __init__(self, translator: Translator, calls: CallSettings, texts: TextSettings) -> None:
        self._translator = translator
        self._calls = calls
        self._texts = texts

    async def Translate(  # noqa: N802
        self, request: pb.TranslateRequest, context: Context
    ) -> pb.TranslateResponse:
        """Answers when all texts are done."""
        answer = await self._translator.translate(self._request(request, context))
        responses.record_account(answer.account)
        return _unary_response(answer)

    async def StreamTranslate(  # type: ignore[override]  # noqa: N802
        self, request: pb.StreamTranslateRequest, context: Context
    ) -> None:
        """Writes what is ready as it is made."""
        outputs = self._translator.stream(self._request(request, context))
        await responses.stream_answer(context, outputs, _stream_response)

    def _request(self, message: Message, context: Context) -> TranslationRequest:
        check(message, self._texts)
        return request_of(message, deadline_of(context, self._calls))


def check(message: Message, settings: TextSettings, *, in_job: bool = False) -> None:
    """Checks all that can be checked without knowing the models; in a job there are no texts."""
    language_of("source_language_code", message.source_language_code)
    language_of("target_language_code", message.target_language_code)
    check_contents(message.contents, settings, in_job=in_job)
    mime_type_of(message.mime_type)
    _check_terms(message, settings)


def request_of(message: Message, deadline: float) -> TranslationRequest:
    """The request in a message that has been checked; options are checked here."""
    return TranslationRequest(
        contents=list(message.contents),
        source=language_of("source_language_code", message.source_language_code),
        target=language_of("target_language_code", message.target_language_code),
        deadline=deadline,
        model=message.model,
        generation=generation_of(message.options),
        mime_type=mime_type_of(message.mime_type),
        do_not_translate=list(message.do_not_translate),
        glossary=[
            TermEntry(each.source_term, each.target_term, each.case_sensitive)
            for each in message.glossary
        ],
    )


def _check_terms(message: Message, settings: TextSettings) -> None:
    for name, count in (
        ("do_not_translate", len(message.do_not_translate)),
        ("glossary", len(message.glossary)),
    ):
        if count > settings.max_terms:
            raise InvalidOptionError(
                f"{name} has {count} entries; the limit is {settings.max_terms}", field=name
            )
    terms = {f"do_not_translate[{i}]": each for i, each in enumerate(message.do_not_translate)}
    for index, entry in enumerate(message.glossary):
        terms[f"glossary[{index}].source_term"] = entry.source_term
        terms[f"glossary[{index}].target_term"] = entry.target_term
    for field, term in terms.items():
        check_required(field, term)
        check_text(field, term, settings.max_term_characters)


def _unary_response(answer: TranslationAnswer) -> pb.TranslateResponse:
    pairs = zip(answer.texts, answer.ends, strict=True)
    return pb.TranslateResponse(
        translations=[_translation(text, end) for text, end in pairs],
        model=answer.account.variant,
        timings=responses.timings(answer.account),
    )


def _stream_response(output: Output) -> pb.StreamTranslateResponse:
    if isinstance(output, DocumentDelta):
        delta = pb.TextDelta(
            content_index=output.content, segment_index=output.segment, text=output.text
        )
        return pb.StreamTranslateResponse(delta=delta)
    if isinstance(output, DocumentEnd):
        end = pb.TranslationEnd(content_index=output.content, translation=_translation("", output))
        return pb.StreamTranslateResponse(end=end)
    return pb.StreamTranslateResponse(summary=_summary(output))


def _translation(text: str, end: DocumentEnd) -> pb.Translation:
    return pb.Translation(
        text=text,
        segments=[_segment(segment) for segment in end.segments],
        finish_reason=responses.finish_reason(end.finish_reason),
        token_counts=responses.token_counts(end.input_tokens, end.output_tokens),
        warnings=end.warnings,
        glossary_matches=[
            pb.GlossaryMatch(
                entry_index=match.entry_index,
                source_start=match.source_start,
                source_end=match.source_end,
                target_start=match.target_start,
                target_end=match.target_end,
            )
            for match in sorted(end.glossary_matches, key=lambda match: match.source_start)
        ],
    )


def _segment(segment: TranslatedSegment) -> pb.Segment:
    return pb.Segment(
        source_start=segment.source_start,
        source_end=segment.source_end,
        target_start=segment.target_start,
        target_end=segment.target_end,
        finish_reason=responses.finish_reason(segment.finish_reason),
        score=segment.score,
        log_prob=segment.log_prob,
        tokens=responses.tokens(segment.tokens),
        alternatives=responses.hypotheses(segment.alternatives),
    )


def _summary(account: Account) -> pb.StreamSummary:
    return pb.StreamSummary(
        finish_reason=responses.finish_reason(account.finish_reason),
        token_counts=responses.token_counts(account.input_tokens, account.output_tokens),
        timings=responses.timings(account),
        model=account.variant,
    )
