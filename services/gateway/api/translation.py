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
from services.inference.tasks.language_detector import LanguageDetector
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
from services.inference.text.language_detection import Detection
from services.inference.text.media_types import mime_type_of
from services.inference.text.terms import TermEntry

Message = pb.TranslateRequest | pb.StreamTranslateRequest

AUTO = "auto"
MAX_LANGUAGES = 256


class TranslationServicer(translation_pb2_grpc.TranslationServiceServicer):
    """Checks, converts and calls the translator; raises ServiceError."""

    def __init__(
        self,
        translator: Translator,
        detector: LanguageDetector,
        calls: CallSettings,
        texts: TextSettings,
    ) -> None:
        self._translator = translator
        self._detector = detector
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

    async def DetectLanguage(  # noqa: N802
        self, request: pb.DetectLanguageRequest, _context: Context
    ) -> pb.DetectLanguageResponse:
        """Answers without a model of Triton's."""
        check_contents(request.contents, self._texts, in_job=False)
        among = _languages_of(request)
        mime_type = mime_type_of(request.mime_type)
        found = await self._detector.detect(list(request.contents), mime_type, among)
        return pb.DetectLanguageResponse(detections=map(_detection, found))

    def _request(self, message: Message, context: Context) -> TranslationRequest:
        check(message, self._texts)
        return request_of(message, deadline_of(context, self._calls))


def check(message: Message, settings: TextSettings, *, in_job: bool = False) -> None:
    """Checks all that can be checked without knowing the models; in a job there are no texts."""
    _source_of(message)
    language_of("target_language_code", message.target_language_code)
    check_contents(message.contents, settings, in_job=in_job)
    mime_type_of(message.mime_type)
    _check_terms(message, settings)


def request_of(message: Message, deadline: float) -> TranslationRequest:
    """The request in a message that has been checked; options are checked here."""
    return TranslationRequest(
        contents=list(message.contents),
        source=_source_of(message),
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
        forbid_pivot=message.forbid_pivot,
    )


def _source_of(message: Message) -> str:
    """The tag of the texts' language; "" when it is to be detected."""
    code = message.source_language_code
    is_open = code.strip().lower() in ("", AUTO)
    return "" if is_open else language_of("source_language_code", code)


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
    pivot = None
    if end.pivot is not None:
        pivot = pb.Pivot(language_code=end.pivot.code, model=end.pivot.model)
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
        pivot=pivot,
        quality=end.quality,
        detected_language_code=end.detected_language,
    )


def _languages_of(message: pb.DetectLanguageRequest) -> set[str]:
    codes = message.language_codes
    if len(codes) > MAX_LANGUAGES:
        raise InvalidOptionError(
            f"language_codes has {len(codes)} entries; the limit is {MAX_LANGUAGES}",
            field="language_codes",
        )
    return {language_of(f"language_codes[{i}]", code) for i, code in enumerate(codes)}


def _detection(found: Detection) -> pb.LanguageDetection:
    return pb.LanguageDetection(
        language_code=found.language,
        candidates=[
            pb.LanguageCandidate(language_code=tag, score=score) for tag, score in found.candidates
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
        quality=segment.quality,
    )


def _summary(account: Account) -> pb.StreamSummary:
    return pb.StreamSummary(
        finish_reason=responses.finish_reason(account.finish_reason),
        token_counts=responses.token_counts(account.input_tokens, account.output_tokens),
        timings=responses.timings(account),
        model=account.variant,
    )
