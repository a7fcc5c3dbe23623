"""Markup, protected phrases and glossaries through the gateway; the model upper-cases words."""

import asyncio
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack
from seqway.v1 import generation_pb2 as generation
from seqway.v1 import translation_pb2 as pb

HTML = (
    "<!-- kept --><ul class='a'>\n  <li>One <b>bold</b> word. Another one.</li>\n"
    '  <li>Tom &amp; Ann</li></ul>\n<p translate="no">as it is</p><p>The end.</p>\n'
)
TRANSLATED = (
    "<!-- kept --><ul class='a'>\n  <li>ONE <b>BOLD</b> WORD. ANOTHER ONE.</li>\n"
    '  <li>TOM &amp; ANN</li></ul>\n<p translate="no">as it is</p><p>THE END.</p>\n'
)
CASES: list[tuple[str, dict[str, Any]]] = [
    (HTML, {"mime_type": "text/html"}),
    (HTML, {"mime_type": "Text/HTML"}),
    (HTML, {"mime_type": "text/html; charset=utf-8"}),
    ("<r><a x='1'>Some text</a><b/>more</r>", {"mime_type": "application/xml"}),
    ("Hello {name}, see https://x.org/a?b=c for 100%s. Plain one.", {}),
    ("A fine tool by Debian. The tool is fine.", {"do_not_translate": ["tool", "Debian"]}),
]


def request(text: str, **more: Any) -> pb.TranslateRequest:
    return pb.TranslateRequest(
        contents=[text], source_language_code="en", target_language_code="fr", **more
    )


async def translate(stack: Stack, text: str, **more: Any) -> pb.Translation:
    answer = await stack.translation.Translate(request(text, **more))
    translation: pb.Translation = answer.translations[0]
    return translation


async def test_only_the_text_of_markup_is_translated(stack: Stack) -> None:
    answer = await translate(stack, HTML, mime_type="text/html")
    assert answer.text == TRANSLATED
    assert not any("<" in text or "&amp;" in text for text in stack.twin.texts)
    for segment in answer.segments:
        source = HTML[segment.source_start : segment.source_end]
        assert answer.text[segment.target_start : segment.target_end].lower() == source.lower()


@pytest.mark.parametrize(("text", "more"), CASES)
async def test_stream_concatenates_to_the_unary_answer(
    stack: Stack, text: str, more: dict[str, Any]
) -> None:
    whole = await translate(stack, text, **more)
    call = stack.translation.StreamTranslate(
        pb.StreamTranslateRequest.FromString(request(text, **more).SerializeToString())
    )
    said, end = "", pb.Translation()
    while (message := await call.read()) is not grpc.aio.EOF:
        said += message.delta.text
        if message.HasField("end"):
            end = message.end.translation
    assert said == whole.text
    whole.text = ""
    assert end == whole


async def test_the_alignment_is_asked_for_where_something_is_placed(stack: Stack) -> None:
    call = stack.translation.StreamTranslate(
        pb.StreamTranslateRequest(
            contents=["Plain one. With {name} inside. Plain two."],
            source_language_code="en",
            target_language_code="fr",
        )
    )
    while await call.read() is not grpc.aio.EOF:
        pass
    asked = {o["stream"]: o.get("alignment", False) for o in stack.twin.options}
    assert asked == {True: False, False: True}


async def test_placeholders_stay_in_plain_text(stack: Stack) -> None:
    answer = await translate(stack, "Hello {name}, read https://x.org/Path now or call %s.")
    for kept in ("{name}", "https://x.org/Path", "%s"):
        assert kept in answer.text
    assert answer.text.startswith("HELLO {name}")


async def test_phrases_are_not_translated(stack: Stack) -> None:
    text = "the very small tool works. A tool."
    answer = await translate(stack, text, do_not_translate=["small tool"])
    assert answer.text == "THE VERY small tool WORKS. A TOOL."


async def test_a_glossary_is_applied_and_reported(stack: Stack) -> None:
    glossary = [
        pb.GlossaryEntry(source_term="absent", target_term="x"),
        pb.GlossaryEntry(source_term="text editor", target_term="éditeur de texte"),
    ]
    text = "One sentence. A text editor is here.  Any Text Editor will do."
    answer = await translate(stack, text, glossary=glossary)
    assert answer.text.count("éditeur de texte") == 2 and "EDITOR" not in answer.text
    assert [match.entry_index for match in answer.glossary_matches] == [1, 1]
    for match in answer.glossary_matches:
        assert text[match.source_start : match.source_end].lower() == "text editor"
        assert answer.text[match.target_start : match.target_end] == "éditeur de texte"


async def test_alternatives_of_markup_are_markup(stack: Stack) -> None:
    options = generation.GenerationOptions(num_beams=2, num_hypotheses=2)
    answer = await translate(stack, "<p>A <i>b</i></p>", mime_type="text/html", options=options)
    [segment] = answer.segments
    [other] = segment.alternatives
    assert other.text.count("<i>") == other.text.count("</i>") == 1


async def test_a_long_sentence_of_markup_is_split(stack: Stack) -> None:
    stack.twin.limit = 8
    text = "<p>" + " ".join(f"<b>word{n}</b> and more" for n in range(30)) + ".</p>"
    answer = await translate(stack, text, mime_type="text/html")
    assert answer.text.lower() == text and answer.text.count("</b>") == 30
    assert len(answer.warnings) == 1 and len(answer.segments) > 8


async def test_a_document_of_markup_without_text_needs_no_model(make_stack: MakeStack) -> None:
    stack = await make_stack()
    text = "<br><!-- nothing -->\n<img src='a'>"
    answer = await asyncio.wait_for(translate(stack, text, mime_type="text/html"), 5)
    assert answer.text == text and not answer.segments and stack.twin.requests == 0
