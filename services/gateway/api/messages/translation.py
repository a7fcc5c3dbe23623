"""The messages of `seqway.v1.TranslationService`."""

from seqway.v1 import translation_pb2 as pb

from services.gateway.api.messages import generation
from services.gateway.api.messages.options import generation_of
from services.inference.markup import TermEntry, mime_type_of
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
)

Request = pb.TranslateRequest | pb.StreamTranslateRequest


def job_of(request: Request, deadline: float) -> TranslationRequest:
    """The job of a request whose fields, but for the options, have been checked."""
    return TranslationRequest(
        contents=list(request.contents),
        source=request.source_language_code,
        target=request.target_language_code,
        deadline=deadline,
        model=request.model,
        generation=generation_of(request.options),
        mime_type=mime_type_of(request.mime_type),
        do_not_translate=list(request.do_not_translate),
        glossary=[
            TermEntry(each.source_term, each.target_term, each.case_sensitive)
            for each in request.glossary
        ],
    )


def unary_response(answer: TranslationAnswer) -> pb.TranslateResponse:
    """The unary answer."""
    pairs = zip(answer.texts, answer.ends, strict=True)
    return pb.TranslateResponse(
        translations=[_translation(text, end) for text, end in pairs],
        model=answer.account.variant,
        timings=generation.timings(answer.account),
    )


def stream_response(output: Output) -> pb.StreamTranslateResponse:
    """One message of the stream."""
    if isinstance(output, DocumentDelta):
        return pb.StreamTranslateResponse(
            delta=pb.TextDelta(
                content_index=output.content, segment_index=output.segment, text=output.text
            )
        )
    if isinstance(output, DocumentEnd):
        return pb.StreamTranslateResponse(
            end=pb.TranslationEnd(
                content_index=output.content, translation=_translation("", output)
            )
        )
    return pb.StreamTranslateResponse(summary=_summary(output))


def _translation(text: str, end: DocumentEnd) -> pb.Translation:
    return pb.Translation(
        text=text,
        segments=[_segment(segment) for segment in end.segments],
        finish_reason=generation.finish_reason(end.finish_reason),
        token_counts=generation.token_counts(end.input_tokens, end.output_tokens),
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
        finish_reason=generation.finish_reason(segment.finish_reason),
        score=segment.score,
        log_prob=segment.log_prob,
        tokens=generation.tokens(segment.tokens),
        alternatives=generation.hypotheses(segment.alternatives),
    )


def _summary(account: Account) -> pb.StreamSummary:
    return pb.StreamSummary(
        finish_reason=generation.finish_reason(account.finish_reason),
        token_counts=generation.token_counts(account.input_tokens, account.output_tokens),
        timings=generation.timings(account),
        model=account.variant,
    )
