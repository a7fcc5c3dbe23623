"""Fake servicers: they "translate" to upper case, and fail on demand."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status  # type: ignore[import-untyped]
from seqway.v1 import generation_pb2, model_pb2, translation_pb2
from seqway.v1.model_pb2_grpc import ModelServiceServicer
from seqway.v1.translation_pb2_grpc import TranslationServiceServicer

VARIANT = "en-fr_int8"


@dataclass
class Failure:
    """A status to answer with, as often as `times` says."""

    code: grpc.StatusCode
    message: str
    details: tuple[Message, ...] = ()
    times: int = 1_000_000

    def raise_in(self, context: grpc.ServicerContext) -> None:
        if self.times <= 0:
            return
        self.times -= 1
        packed = []
        for detail in self.details:
            one = Any()
            one.Pack(detail)
            packed.append(one)
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=packed)
        context.abort_with_status(rpc_status.to_status(status))


@dataclass
class FakeServer:
    address: str
    translation: "FakeTranslation"
    models: "FakeModels"


def error_info(reason: str) -> Message:
    return error_details_pb2.ErrorInfo(  # type: ignore[no-any-return]
        reason=reason, domain="seqway", metadata={"key": "value"}
    )


def bad_request(field_name: str, description: str) -> Message:
    violation = error_details_pb2.BadRequest.FieldViolation(
        field=field_name, description=description
    )
    return error_details_pb2.BadRequest(  # type: ignore[no-any-return]
        field_violations=[violation]
    )


def retry_info(seconds: float) -> Message:
    delay = Duration(nanos=round(seconds * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)  # type: ignore[no-any-return]


def translation_of(text: str) -> translation_pb2.Translation:
    return translation_pb2.Translation(
        text=text.upper(),
        segments=[
            translation_pb2.Segment(
                source_start=0,
                source_end=len(text),
                target_start=0,
                target_end=len(text),
                finish_reason=generation_pb2.FINISH_REASON_EOS,
                score=-1.5,
            )
        ],
        finish_reason=generation_pb2.FINISH_REASON_EOS,
        token_counts=generation_pb2.TokenCounts(input=3, output=4),
        warnings=["it was split"] if "warn" in text else [],
    )


def timings() -> translation_pb2.Timings:
    return translation_pb2.Timings(
        queue=Duration(nanos=1_000_000),
        first_token=Duration(nanos=5_000_000),
        total=Duration(seconds=1, nanos=500_000_000),
    )


@dataclass
class FakeTranslation(TranslationServiceServicer):
    """`held` makes a stream wait for `released` after its first delta."""

    failure: Failure | None = None
    held: bool = False
    released: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    requests: list[Message] = field(default_factory=list)

    def Translate(  # noqa: N802 - the name in the protos
        self, request: translation_pb2.TranslateRequest, context: grpc.ServicerContext
    ) -> translation_pb2.TranslateResponse:
        self.requests.append(request)
        if self.failure:
            self.failure.raise_in(context)
        return translation_pb2.TranslateResponse(
            translations=[translation_of(text) for text in request.contents],
            model=VARIANT,
            timings=timings(),
        )

    def StreamTranslate(  # noqa: N802 - the name in the protos
        self, request: translation_pb2.StreamTranslateRequest, context: grpc.ServicerContext
    ) -> Iterator[translation_pb2.StreamTranslateResponse]:
        """The texts in turn, character by character; ends from the last text to the first."""
        self.requests.append(request)
        context.add_callback(self.cancelled.set)
        if self.failure:
            self.failure.raise_in(context)
        for position in range(max(map(len, request.contents))):
            for index, text in enumerate(request.contents):
                if position < len(text):
                    delta = translation_pb2.TextDelta(
                        content_index=index, text=text[position].upper()
                    )
                    yield translation_pb2.StreamTranslateResponse(delta=delta)
            if self.held:
                self.released.wait(30)
        for index in reversed(range(len(request.contents))):
            translation = translation_of(request.contents[index])
            translation.text = ""
            yield translation_pb2.StreamTranslateResponse(
                end=translation_pb2.TranslationEnd(content_index=index, translation=translation)
            )
        yield translation_pb2.StreamTranslateResponse(
            summary=translation_pb2.StreamSummary(
                finish_reason=generation_pb2.FINISH_REASON_EOS,
                token_counts=generation_pb2.TokenCounts(input=3, output=4),
                timings=timings(),
                model=VARIANT,
            )
        )


def model_message(name: str) -> model_pb2.Model:
    return model_pb2.Model(
        name=name,
        base_model="en-fr",
        task="translation",
        language_pairs=[
            model_pb2.LanguagePair(source_language_code="en", target_language_code="fr")
        ],
        precision=name.rpartition("_")[2],
        limits=model_pb2.ModelLimits(max_source_tokens=512, max_target_tokens=256),
        family="pegasus",
        checkpoint_sha256="ab",
        quality={"bleu": 30.1},
        ready=True,
    )


@dataclass
class FakeModels(ModelServiceServicer):
    """Two variants, one on a page."""

    names: tuple[str, ...] = ("en-fr_fp32", VARIANT)
    failure: Failure | None = None

    def ListModels(  # noqa: N802 - the name in the protos
        self, request: model_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> model_pb2.ListModelsResponse:
        if self.failure:
            self.failure.raise_in(context)
        position = int(request.page_token or 0)
        following = position + 1
        return model_pb2.ListModelsResponse(
            models=[model_message(name) for name in self.names[position:following]],
            next_page_token=str(following) if following < len(self.names) else "",
        )

    def GetModel(  # noqa: N802 - the name in the protos
        self, request: model_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> model_pb2.GetModelResponse:
        if request.name not in self.names:
            message = f'no model is named "{request.name}"'
            Failure(grpc.StatusCode.NOT_FOUND, message, (error_info("UNKNOWN_MODEL"),)).raise_in(
                context
            )
        return model_pb2.GetModelResponse(model=model_message(request.name))
