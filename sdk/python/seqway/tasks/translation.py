"""Translation: `translate`, `stream_translate` and `detect`."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from seqway import events, results
from seqway.glossary import Glossary, GlossaryEntry
from seqway.options import GenerationOptions
from seqway.tasks.arguments import contents_of, options_message
from seqway.tasks.generation import (
    finish_reason,
    hypotheses,
    stream_summary,
    timings,
    token_counts,
    token_log_probs,
)
from seqway.transport.method import Method
from seqway.transport.status import unknown_event
from seqway.v1 import translation_pb2 as pb

_Request = TypeVar("_Request", pb.TranslateRequest, pb.StreamTranslateRequest)


def translate_request(
    kind: type[_Request],
    text: str | Sequence[str],
    *,
    source: str,
    target: str,
    mime_type: str,
    do_not_translate: Sequence[str],
    glossary: Glossary,
    forbid_pivot: bool,
    options: GenerationOptions | None,
    max_new_tokens: int | None,
    model: str,
) -> _Request:
    """The request of the unary call, or of the stream."""
    return kind(
        contents=contents_of(text),
        source_language_code=source,
        target_language_code=target,
        model=model,
        options=options_message(options, max_new_tokens),
        mime_type=mime_type,
        do_not_translate=contents_of(do_not_translate),
        glossary=_glossary(glossary),
        forbid_pivot=forbid_pivot,
    )


def _glossary(glossary: Glossary) -> list[pb.GlossaryEntry]:
    if isinstance(glossary, Mapping):
        glossary = [GlossaryEntry(source, target) for source, target in glossary.items()]
    return [
        pb.GlossaryEntry(
            source_term=entry.source_term,
            target_term=entry.target_term,
            case_sensitive=entry.case_sensitive,
        )
        for entry in glossary
    ]


def _result(response: pb.TranslateResponse) -> results.TranslateResult:
    return results.TranslateResult(
        translations=tuple(_translation(one) for one in response.translations),
        model=response.model,
        timings=timings(response.timings),
    )


def _event(response: pb.StreamTranslateResponse) -> events.StreamEvent:
    match response.WhichOneof("event"):
        case "delta":
            delta = response.delta
            return events.TextDelta(delta.content_index, delta.segment_index, delta.text)
        case "end":
            end = response.end
            return events.TextEnd(end.content_index, _translation(end.translation))
        case "summary":
            return stream_summary(response.summary)
        case _:
            raise unknown_event()


def _translation(message: pb.Translation) -> results.Translation:
    return results.Translation(
        text=message.text,
        segments=tuple(_segment(one) for one in message.segments),
        finish_reason=finish_reason(message.finish_reason),
        token_counts=token_counts(message.token_counts),
        warnings=tuple(message.warnings),
        glossary_matches=tuple(
            results.GlossaryMatch(
                entry_index=match.entry_index,
                source_start=match.source_start,
                source_end=match.source_end,
                target_start=match.target_start,
                target_end=match.target_end,
            )
            for match in message.glossary_matches
        ),
        detected_language=message.detected_language_code,
        pivot=pivot_of(message.pivot) if message.HasField("pivot") else None,
        quality=message.quality if message.HasField("quality") else None,
    )


def pivot_of(message: pb.Pivot) -> results.Pivot:
    """What a message says of it."""
    return results.Pivot(language=message.language_code, model=message.model)


def _segment(message: pb.Segment) -> results.Segment:
    return results.Segment(
        source_start=message.source_start,
        source_end=message.source_end,
        target_start=message.target_start,
        target_end=message.target_end,
        finish_reason=finish_reason(message.finish_reason),
        score=message.score,
        log_prob=message.log_prob,
        tokens=token_log_probs(message.tokens),
        alternatives=hypotheses(message.alternatives),
        quality=message.quality if message.HasField("quality") else None,
    )


def detect_request(
    text: str | Sequence[str], *, languages: Sequence[str], mime_type: str
) -> pb.DetectLanguageRequest:
    """The request for one text or several."""
    return pb.DetectLanguageRequest(
        contents=contents_of(text), language_codes=contents_of(languages), mime_type=mime_type
    )


def _detections(response: pb.DetectLanguageResponse) -> results.DetectResult:
    return results.DetectResult(tuple(_detected(one) for one in response.detections))


def _detected(message: pb.LanguageDetection) -> results.DetectedLanguage:
    return results.DetectedLanguage(
        language=message.language_code or None,
        candidates=tuple(
            results.LanguageScore(one.language_code, one.score) for one in message.candidates
        ),
    )


TRANSLATE = Method(
    "/seqway.v1.TranslationService/Translate",
    pb.TranslateRequest,
    pb.TranslateResponse,
    _result,
)
STREAM_TRANSLATE = Method(
    "/seqway.v1.TranslationService/StreamTranslate",
    pb.StreamTranslateRequest,
    pb.StreamTranslateResponse,
    _event,
)
DETECT = Method(
    "/seqway.v1.TranslationService/DetectLanguage",
    pb.DetectLanguageRequest,
    pb.DetectLanguageResponse,
    _detections,
)
