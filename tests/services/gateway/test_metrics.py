"""What the gateway counts, read as Prometheus reads it; the registry is that of the process."""

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from seqway.v1 import classification_pb2, translation_pb2

from tests.services.twin import classifier

INVENTED = "a-model-that-nobody-has"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def tokens(direction: str, model: str) -> float:
    return value("seqway_gateway_tokens_total", model=model, direction=direction)


def request(**more: str) -> translation_pb2.TranslateRequest:
    return translation_pb2.TranslateRequest(
        contents=["one two three"], source_language_code="en", target_language_code="fr", **more
    )


async def test_tokens_and_first_token_of_a_call_with_one_answer(stack: Stack) -> None:
    answer = await stack.translation.Translate(request())
    before = [tokens(each, answer.model) for each in ("input", "output")]
    first = value("seqway_gateway_first_token_seconds_count", model=answer.model)
    again = await stack.translation.Translate(request())
    counts = again.translations[0].token_counts
    assert counts.input and counts.output
    after = [tokens(each, answer.model) for each in ("input", "output")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [counts.input, counts.output]
    assert value("seqway_gateway_first_token_seconds_count", model=answer.model) == first + 1


async def test_tokens_of_a_stream(stack: Stack) -> None:
    asked = translation_pb2.StreamTranslateRequest(
        contents=["one two three"], source_language_code="en", target_language_code="fr"
    )
    messages = [message async for message in stack.translation.StreamTranslate(asked)]
    model = messages[-1].summary.model
    before = tokens("output", model)
    messages = [message async for message in stack.translation.StreamTranslate(asked)]
    made = messages[-1].summary.token_counts.output
    assert tokens("output", model) == before + made > before


async def test_an_encoder_has_no_first_token(make_stack: MakeStack) -> None:
    stack = await make_stack(manifests=[classifier()])
    asked = classification_pb2.ClassifyRequest(contents=["games"])
    model = (await stack.classification.Classify(asked)).model
    assert tokens("input", model) > 0
    assert not value("seqway_gateway_first_token_seconds_count", model=model)


async def test_callers_make_no_labels(stack: Stack) -> None:
    await failure(stack.translation.Translate(request(model=INVENTED)))
    unknown = stack.channel.unary_unary(f"/seqway.v1.{INVENTED}/Do")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unknown(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert INVENTED not in generate_latest().decode()


async def test_a_service_without_a_model_is_told(stack: Stack) -> None:
    service = "seqway.v1.TranslationService"

    def serving() -> float:
        return value("seqway_gateway_serving", service=service)

    assert serving() == 1
    assert value("seqway_gateway_serving", service="seqway.v1.SummarizationService") == 0
    await stack.twin.stop()
    await wait_until(lambda: serving() == 0)


def test_what_is_served_can_be_parsed() -> None:
    names = {family.name for family in text_string_to_metric_families(generate_latest().decode())}
    assert {"seqway_gateway_tokens", "seqway_gateway_serving"} <= names
