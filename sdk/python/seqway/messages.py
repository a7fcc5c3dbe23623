"""Between the protobuf messages of `seqway.v1` and the types of this package."""

from collections.abc import Sequence

from seqway import results
from seqway.errors import InvalidRequestError, ServerError
from seqway.events import StreamEvent, StreamSummary, TextDelta, TextEnd
from seqway.results import FinishReason, LanguagePair, Model, Timings, TokenCounts
from seqway.status import MESSAGE_TOO_LARGE
from seqway.v1 import generation_pb2, model_pb2, translation_pb2

MAX_MESSAGE_BYTES = 4 * 1024 * 1024


def translate_request(
    text: str | Sequence[str], source: str, target: str, model: str, max_new_tokens: int
) -> translation_pb2.TranslateRequest:
    """The request for one text or several; `InvalidRequestError` when it is too large to send."""
    request = translation_pb2.TranslateRequest(
        contents=_contents(text),
        source_language_code=source,
        target_language_code=target,
        model=model,
        options=generation_pb2.GenerationOptions(max_new_tokens=max_new_tokens),
    )
    _check_size(request.ByteSize())
    return request


def stream_translate_request(
    text: str | Sequence[str], source: str, target: str, model: str, max_new_tokens: int
) -> translation_pb2.StreamTranslateRequest:
    """The same for a stream."""
    request = translation_pb2.StreamTranslateRequest(
        contents=_contents(text),
        source_language_code=source,
        target_language_code=target,
        model=model,
        options=generation_pb2.GenerationOptions(max_new_tokens=max_new_tokens),
    )
    _check_size(request.ByteSize())
    return request


def _contents(text: str | Sequence[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def _check_size(size: int) -> None:
    if size > MAX_MESSAGE_BYTES:
        raise InvalidRequestError(
            f"the request has {size:,} bytes and {MAX_MESSAGE_BYTES:,} are the most: "
            "send the text in several calls",
            reason=MESSAGE_TOO_LARGE,
        )


def translate_result(response: translation_pb2.TranslateResponse) -> results.TranslateResult:
    """The answer to a unary call."""
    return results.TranslateResult(
        translations=tuple(_translation(one) for one in response.translations),
        model=response.model,
        timings=_timings(response.timings),
    )


def stream_event(response: translation_pb2.StreamTranslateResponse) -> StreamEvent:
    """One message of a stream; `ServerError` when this version doesn't know its kind."""
    match response.WhichOneof("event"):
        case "delta":
            delta = response.delta
            return TextDelta(delta.content_index, delta.segment_index, delta.text)
        case "end":
            return TextEnd(response.end.content_index, _translation(response.end.translation))
        case "summary":
            summary = response.summary
            return StreamSummary(
                finish_reason=_finish_reason(summary.finish_reason),
                token_counts=_token_counts(summary.token_counts),
                timings=_timings(summary.timings),
                model=summary.model,
            )
        case _:
            raise ServerError(
                "the server sent an event that this client doesn't know: update the client",
                reason="UNKNOWN_EVENT",
            )


def model_of(message: model_pb2.Model) -> Model:
    """One variant."""
    return Model(
        name=message.name,
        base_model=message.base_model,
        task=message.task,
        language_pairs=tuple(
            LanguagePair(pair.source_language_code, pair.target_language_code)
            for pair in message.language_pairs
        ),
        precision=message.precision,
        max_source_tokens=message.limits.max_source_tokens,
        max_target_tokens=message.limits.max_target_tokens,
        family=message.family,
        checkpoint_sha256=message.checkpoint_sha256,
        quality=dict(message.quality),
        ready=message.ready,
    )


def _translation(message: translation_pb2.Translation) -> results.Translation:
    return results.Translation(
        text=message.text,
        segments=tuple(_segment(one) for one in message.segments),
        finish_reason=_finish_reason(message.finish_reason),
        token_counts=_token_counts(message.token_counts),
        warnings=tuple(message.warnings),
    )


def _segment(message: translation_pb2.Segment) -> results.Segment:
    return results.Segment(
        source_start=message.source_start,
        source_end=message.source_end,
        target_start=message.target_start,
        target_end=message.target_end,
        finish_reason=_finish_reason(message.finish_reason),
        score=message.score,
    )


def _token_counts(message: generation_pb2.TokenCounts) -> TokenCounts:
    return TokenCounts(input=message.input, output=message.output)


def _timings(message: translation_pb2.Timings) -> Timings:
    return Timings(
        queue=message.queue.ToTimedelta().total_seconds(),
        first_token=message.first_token.ToTimedelta().total_seconds(),
        total=message.total.ToTimedelta().total_seconds(),
    )


_FINISH_REASONS = {
    generation_pb2.FINISH_REASON_EOS: FinishReason.EOS,
    generation_pb2.FINISH_REASON_LENGTH: FinishReason.LENGTH,
    generation_pb2.FINISH_REASON_CANCELLED: FinishReason.CANCELLED,
    generation_pb2.FINISH_REASON_ERROR: FinishReason.ERROR,
}


def _finish_reason(value: "generation_pb2.FinishReason.ValueType") -> FinishReason:
    return _FINISH_REASONS.get(value, FinishReason.UNSPECIFIED)
