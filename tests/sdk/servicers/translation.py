"""A servicer that "translates" to upper case."""

from collections.abc import Iterator

import grpc
from seqway.v1 import generation_pb2
from seqway.v1 import translation_pb2 as pb
from seqway.v1.translation_pb2_grpc import TranslationServiceServicer

from tests.sdk.servicers.fake import (
    Fake,
    alternatives,
    finish_reason,
    timings,
    token_counts,
    tokens,
    warnings,
)

VARIANT = "en-fr_int8"
UNSURE = "en-fr_fp32"
"""A variant that estimates no quality."""
Request = pb.TranslateRequest | pb.StreamTranslateRequest


def translation_of(text: str, request: Request) -> pb.Translation:
    return pb.Translation(
        text=text.upper(),
        segments=[
            pb.Segment(
                source_start=0,
                source_end=len(text),
                target_start=0,
                target_end=len(text),
                finish_reason=finish_reason(text),
                score=-1.5,
                log_prob=-3.5,
                tokens=tokens(request.options),
                alternatives=alternatives(request.options),
                quality=None if request.model == UNSURE else 0.75,
            )
        ],
        finish_reason=finish_reason(text),
        token_counts=token_counts(),
        warnings=warnings(text),
        glossary_matches=[
            pb.GlossaryMatch(
                entry_index=index,
                source_start=text.index(entry.source_term),
                source_end=text.index(entry.source_term) + len(entry.source_term),
                target_start=1,
                target_end=2,
            )
            for index, entry in enumerate(request.glossary)
            if entry.source_term in text
        ],
        detected_language_code="en" if request.source_language_code == "auto" else "",
        pivot=_pivot(request),
        quality=None if request.model == UNSURE else 0.75,
    )


def _pivot(request: Request) -> pb.Pivot | None:
    """Portuguese is translated through English."""
    if request.source_language_code != "pt" or request.forbid_pivot:
        return None
    return pb.Pivot(language_code="en", model="pt-en_int8")


class FakeTranslation(Fake, TranslationServiceServicer):
    def DetectLanguage(  # noqa: N802 - the name in the protos
        self, request: pb.DetectLanguageRequest, context: grpc.ServicerContext
    ) -> pb.DetectLanguageResponse:
        """Longer texts are in the first language that is asked for, others undecided."""
        self.receive(request, context)
        first, *_ = [*request.language_codes, "en"]
        candidate = pb.LanguageCandidate(language_code=first, score=0.75)
        return pb.DetectLanguageResponse(
            detections=[
                pb.LanguageDetection(
                    language_code=first if len(text) > 5 else "", candidates=[candidate]
                )
                for text in request.contents
            ]
        )

    def Translate(  # noqa: N802 - the name in the protos
        self, request: pb.TranslateRequest, context: grpc.ServicerContext
    ) -> pb.TranslateResponse:
        self.receive(request, context)
        return pb.TranslateResponse(
            translations=[translation_of(text, request) for text in request.contents],
            model=VARIANT,
            timings=timings(),
        )

    def StreamTranslate(  # noqa: N802 - the name in the protos
        self, request: pb.StreamTranslateRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.StreamTranslateResponse]:
        """The texts in turn, character by character; ends from the last text to the first."""
        self.receive(request, context)
        for position in range(max(map(len, request.contents))):
            for index, text in enumerate(request.contents):
                if position < len(text):
                    delta = pb.TextDelta(content_index=index, text=text[position].upper())
                    yield pb.StreamTranslateResponse(delta=delta)
            self.hold()
        for index in reversed(range(len(request.contents))):
            translation = translation_of(request.contents[index], request)
            translation.text = ""
            end = pb.TranslationEnd(content_index=index, translation=translation)
            yield pb.StreamTranslateResponse(end=end)
        yield pb.StreamTranslateResponse(
            summary=pb.StreamSummary(
                finish_reason=generation_pb2.FINISH_REASON_EOS,
                token_counts=token_counts(),
                timings=timings(),
                model=VARIANT,
            )
        )
