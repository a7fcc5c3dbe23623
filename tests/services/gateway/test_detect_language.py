"""`DetectLanguage`, and translations whose source is left to be detected."""

from typing import Any

import pytest
from gateway_stack import MakeStack, Stack, failure
from seqway.v1 import translation_pb2 as pb

from tests.services.twin import manifest_of, many_to_many

ENGLISH = "This package has a small editor for plain text."
GERMAN = "Dieses Paket enthält einen kleinen Editor für einfachen Text."
HUNGARIAN = "Ez egy kis szövegszerkesztő, amely nagyon gyors."


def translate(*contents: str, source: str = "auto", **more: Any) -> pb.TranslateRequest:
    return pb.TranslateRequest(
        contents=contents,
        source_language_code=source,
        **{"target_language_code": "es", **more},
    )


@pytest.fixture
async def several(make_stack: MakeStack) -> Stack:
    return await make_stack(manifests=[manifest_of(), many_to_many()])


async def test_detects_among_what_is_served(several: Stack) -> None:
    request = pb.DetectLanguageRequest(contents=[ENGLISH, GERMAN, HUNGARIAN, " 42 "])
    answer = await several.translation.DetectLanguage(request)
    assert [each.language_code for each in answer.detections] == ["en", "de", "", ""]
    best = answer.detections[1].candidates[0]
    assert (best.language_code, best.score > 0.9) == ("de", True)
    assert not answer.detections[3].candidates


async def test_detects_among_what_is_asked_for(several: Stack) -> None:
    request = pb.DetectLanguageRequest(contents=[HUNGARIAN], language_codes=["hun", "fi"])
    [found] = (await several.translation.DetectLanguage(request)).detections
    assert found.language_code == "hu"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (pb.DetectLanguageRequest(), ("FIELD_REQUIRED", "contents")),
        (pb.DetectLanguageRequest(contents=["a" * 101]), ("TEXT_TOO_LONG", "contents[0]")),
        (
            pb.DetectLanguageRequest(contents=["a"], language_codes=["en", "xx"]),
            ("INVALID_LANGUAGE", "language_codes[1]"),
        ),
        (
            pb.DetectLanguageRequest(contents=["a"], language_codes=["en"] * 257),
            ("INVALID_OPTION", "language_codes"),
        ),
        (
            pb.DetectLanguageRequest(contents=["a"], mime_type="text/rtf"),
            ("UNSUPPORTED_MIME_TYPE", "mime_type"),
        ),
    ],
)
async def test_a_bad_request_names_the_field(
    make_stack: MakeStack, request_: pb.DetectLanguageRequest, expected: tuple[str, str]
) -> None:
    stack = await make_stack(max_text_characters=100)
    call = stack.translation.DetectLanguage(request_)
    assert await failure(call) == ("INVALID_ARGUMENT", *expected)


@pytest.mark.parametrize("source", ["auto", "", "AUTO"])
async def test_each_text_is_translated_from_its_own_language(several: Stack, source: str) -> None:
    texts = [ENGLISH, "", GERMAN, "42", ENGLISH]
    answer = await several.translation.Translate(translate(*texts, source=source))
    assert [each.text for each in answer.translations] == [text.upper() for text in texts]
    languages = [each.detected_language_code for each in answer.translations]
    assert languages == ["en", "", "de", "", "en"]
    assert answer.model == "world_fp32"
    stream = several.translation.StreamTranslate(
        pb.StreamTranslateRequest.FromString(translate(*texts).SerializeToString())
    )
    ends = {
        message.end.content_index: message.end.translation.detected_language_code
        async for message in stream
        if message.HasField("end")
    }
    assert [ends[index] for index in range(len(texts))] == languages


async def test_every_variant_that_took_part_is_named(make_stack: MakeStack) -> None:
    stack = await make_stack(manifests=[manifest_of(), manifest_of(base_model="de-fr")])
    request = translate(GERMAN, ENGLISH, target_language_code="fr")
    answer = await stack.translation.Translate(request)
    assert [each.text for each in answer.translations] == [GERMAN.upper(), ENGLISH.upper()]
    assert answer.model == "de-fr_int8, en-fr_int8"


async def test_an_undecided_text_is_named(several: Stack) -> None:
    call = several.translation.Translate(translate(ENGLISH, HUNGARIAN))
    assert await failure(call) == ("INVALID_ARGUMENT", "UNDECIDED_LANGUAGE", "contents[1]")


async def test_a_language_that_is_named_is_not_detected(several: Stack) -> None:
    answer = await several.translation.Translate(translate(HUNGARIAN, source="en"))
    assert answer.translations[0].text == HUNGARIAN.upper()
    assert not answer.translations[0].detected_language_code


async def test_without_a_model_for_the_target(several: Stack) -> None:
    call = several.translation.Translate(translate(ENGLISH, target_language_code="it"))
    expected = ("INVALID_ARGUMENT", "UNKNOWN_LANGUAGE_PAIR", "target_language_code")
    assert await failure(call) == expected
