"""Between the public messages and the types of `services.inference`."""

from google.protobuf.duration_pb2 import Duration
from seqway.v1 import generation_pb2, model_pb2, translation_pb2

from services.gateway.validation import TranslationRequest
from services.inference.call import Summary
from services.inference.catalogue import Variant
from services.inference.document import TextDelta, TextEnd, TranslatedSegment
from services.inference.engine import PriorityName
from services.inference.events import FinishReason
from services.inference.translator import Answer, Job, Output


def job_of(request: TranslationRequest, deadline: float) -> Job:
    """The job of a request that has been checked."""
    options = request.options
    return Job(
        contents=request.contents,
        source=request.source_language_code,
        target=request.target_language_code,
        deadline=deadline,
        model=request.model,
        max_new_tokens=options.max_new_tokens,
        priority=_priority(options.priority),
    )


def translate_response(answer: Answer) -> translation_pb2.TranslateResponse:
    """The unary answer."""
    pairs = zip(answer.texts, answer.ends, strict=True)
    return translation_pb2.TranslateResponse(
        translations=[_translation(text, end) for text, end in pairs],
        model=answer.summary.variant,
        timings=_timings(answer.summary),
    )


def stream_response(output: Output) -> translation_pb2.StreamTranslateResponse:
    """One message of the stream."""
    if isinstance(output, TextDelta):
        return translation_pb2.StreamTranslateResponse(
            delta=translation_pb2.TextDelta(
                content_index=output.content, segment_index=output.segment, text=output.text
            )
        )
    if isinstance(output, TextEnd):
        return translation_pb2.StreamTranslateResponse(
            end=translation_pb2.TranslationEnd(
                content_index=output.content, translation=_translation("", output)
            )
        )
    return translation_pb2.StreamTranslateResponse(summary=_summary(output))


def model_message(variant: Variant) -> model_pb2.Model:
    """The public description of a variant."""
    manifest = variant.manifest
    return model_pb2.Model(
        name=manifest.name,
        base_model=manifest.base_model,
        task=manifest.task,
        language_pairs=[
            model_pb2.LanguagePair(source_language_code=source, target_language_code=target)
            for source, target in manifest.language_pairs
        ],
        precision=manifest.precision,
        limits=model_pb2.ModelLimits(
            max_source_tokens=manifest.max_source_tokens,
            max_target_tokens=manifest.max_target_tokens,
        ),
        family=manifest.family,
        checkpoint_sha256=manifest.checkpoint_sha256,
        quality=manifest.quality,
        ready=variant.ready,
    )


def _priority(priority: generation_pb2.Priority.ValueType) -> PriorityName:
    return "bulk" if priority == generation_pb2.PRIORITY_BULK else "interactive"


def _translation(text: str, end: TextEnd) -> translation_pb2.Translation:
    return translation_pb2.Translation(
        text=text,
        segments=[_segment(segment) for segment in end.segments],
        finish_reason=_finish_reason(end.finish_reason),
        token_counts=generation_pb2.TokenCounts(input=end.input_tokens, output=end.output_tokens),
        warnings=end.warnings,
    )


def _segment(segment: TranslatedSegment) -> translation_pb2.Segment:
    return translation_pb2.Segment(
        source_start=segment.source_start,
        source_end=segment.source_end,
        target_start=segment.target_start,
        target_end=segment.target_end,
        finish_reason=_finish_reason(segment.finish_reason),
        score=segment.score,
    )


def _summary(summary: Summary) -> translation_pb2.StreamSummary:
    return translation_pb2.StreamSummary(
        finish_reason=_finish_reason(summary.finish_reason),
        token_counts=generation_pb2.TokenCounts(
            input=summary.input_tokens, output=summary.output_tokens
        ),
        timings=_timings(summary),
        model=summary.variant,
    )


def _timings(summary: Summary) -> translation_pb2.Timings:
    return translation_pb2.Timings(
        queue=_duration(summary.queue),
        first_token=_duration(summary.first_token),
        total=_duration(summary.total),
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(int(seconds * 1_000_000))
    return duration


def _finish_reason(reason: FinishReason) -> generation_pb2.FinishReason.ValueType:
    return _FINISH_REASONS[reason]


_FINISH_REASONS = {
    FinishReason.EOS: generation_pb2.FINISH_REASON_EOS,
    FinishReason.LENGTH: generation_pb2.FINISH_REASON_LENGTH,
    FinishReason.CANCELLED: generation_pb2.FINISH_REASON_CANCELLED,
    FinishReason.ERROR: generation_pb2.FINISH_REASON_ERROR,
}
