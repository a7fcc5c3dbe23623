"""Pairs that no model translates, and two do through a third language."""

from typing import Any

import pytest
from gateway_stack import MakeStack, Stack, failure
from seqway.v1 import generation_pb2 as generation
from seqway.v1 import translation_pb2 as pb

from tests.services.gateway.test_translation import collect
from tests.services.twin import manifest_of

TEXT = "  Um editor. É pequeno.\n\nFim"


def request(*contents: str, target: str = "fr", **more: Any) -> pb.TranslateRequest:
    return pb.TranslateRequest(
        contents=contents, source_language_code="pt", target_language_code=target, **more
    )


@pytest.fixture
async def pivoting(make_stack: MakeStack) -> Stack:
    """From Portuguese to English, and from there to French: int8 and fp32 of each."""
    pairs = [("int8", "pt-en"), ("fp32", "pt-en"), ("int8", "en-fr"), ("fp32", "en-fr")]
    return await make_stack(manifests=[manifest_of(*pair) for pair in pairs])


def languages(stack: Stack) -> list[tuple[str, str]]:
    sent = [(each["source_language"], each["target_language"]) for each in stack.twin.options]
    return list(dict.fromkeys(sent))


async def test_two_models_translate_and_the_answer_says_so(pivoting: Stack) -> None:
    response = await pivoting.translation.Translate(request(TEXT, ""))
    answer, empty = response.translations
    assert answer.text == TEXT.upper() and empty.text == ""
    assert response.model == "en-fr_int8"
    assert answer.pivot == pb.Pivot(language_code="en", model="pt-en_int8")
    assert languages(pivoting) == [("pt", "en"), ("en", "fr")]
    tokens = answer.token_counts
    direct = await pivoting.translation.Translate(request(TEXT, target="en"))
    assert not direct.translations[0].HasField("pivot")
    assert tokens.input == 2 * direct.translations[0].token_counts.input


async def test_the_stream_is_the_unary_answer(pivoting: Stack) -> None:
    unary = await pivoting.translation.Translate(request(TEXT, "E mais."))
    message = pb.StreamTranslateRequest.FromString(request(TEXT, "E mais.").SerializeToString())
    texts, ends, summary = await collect(pivoting.translation.StreamTranslate(message), 2)
    assert texts == [each.text for each in unary.translations]
    for index, whole in enumerate(unary.translations):
        whole.text = ""
        assert ends[index] == whole
    assert summary.model == unary.model
    assert summary.token_counts.output == sum(
        each.token_counts.output for each in unary.translations
    )
    assert summary.timings.first_token.ToNanoseconds() <= summary.timings.total.ToNanoseconds()


async def test_spans_are_of_the_source_and_of_the_answer(pivoting: Stack) -> None:
    [answer] = (await pivoting.translation.Translate(request(TEXT))).translations
    sources = [TEXT[each.source_start : each.source_end] for each in answer.segments]
    targets = [answer.text[each.target_start : each.target_end] for each in answer.segments]
    assert sources == ["Um editor.", "É pequeno.", "Fim"]
    assert targets == [each.upper() for each in sources]


async def test_what_the_second_model_splits_has_the_whole_source(pivoting: Stack) -> None:
    pivoting.twin.limit = 6
    text = "Uma frase que é longa demais para o modelo inteiro."
    [answer] = (await pivoting.translation.Translate(request(text))).translations
    assert answer.text == text.upper()
    for segment in answer.segments:
        source = text[segment.source_start : segment.source_end].upper()
        assert answer.text[segment.target_start : segment.target_end] in source
    assert answer.warnings[0].startswith("sentence was split")
    assert all(each.startswith('from "en": ') for each in answer.warnings[1:])


async def test_terms_and_markup_pass_both_models(pivoting: Stack) -> None:
    text = "<p>Um <b>editor de texto</b> e o Debian.</p><p>Outro editor de texto.</p>"
    terms = [
        pb.GlossaryEntry(source_term="ausente", target_term="x"),
        pb.GlossaryEntry(source_term="editor de texto", target_term="éditeur de texte"),
    ]
    message = request(text, mime_type="text/html", glossary=terms, do_not_translate=["o Debian"])
    [answer] = (await pivoting.translation.Translate(message)).translations
    assert answer.text.count("éditeur de texte") == 2 and "o Debian" in answer.text
    assert answer.text.count("<b>") == answer.text.count("</b>") == 1
    assert [each.entry_index for each in answer.glossary_matches] == [1, 1]
    for match in answer.glossary_matches:
        assert text[match.source_start : match.source_end] == "editor de texto"
        assert answer.text[match.target_start : match.target_end] == "éditeur de texte"


async def test_details_are_of_the_answer(pivoting: Stack) -> None:
    options = generation.GenerationOptions(
        num_beams=2, num_hypotheses=2, token_log_probs=True, max_new_tokens=64
    )
    [answer] = (
        await pivoting.translation.Translate(request("Um editor.", options=options))
    ).translations
    [segment] = answer.segments
    assert [token.text for token in segment.tokens] == ["UM", "EDITOR."]
    assert len(segment.alternatives) == 1
    first, second = pivoting.twin.options
    assert first["num_beams"] == second["num_beams"] == 2
    assert second["token_log_probs"] and second["max_new_tokens"] == 64
    assert not {"token_log_probs", "num_hypotheses", "max_new_tokens"} & first.keys()


async def test_a_caller_may_forbid_it(pivoting: Stack) -> None:
    call = pivoting.translation.Translate(request(TEXT, forbid_pivot=True))
    expected = ("INVALID_ARGUMENT", "UNKNOWN_LANGUAGE_PAIR", "forbid_pivot")
    assert await failure(call) == expected
    assert pivoting.twin.options == []


async def test_a_named_model_translates_by_itself(pivoting: Stack) -> None:
    call = pivoting.translation.Translate(request(TEXT, model="pt-en"))
    expected = ("INVALID_ARGUMENT", "UNKNOWN_LANGUAGE_PAIR", "target_language_code")
    assert await failure(call) == expected


async def test_there_and_back_is_no_translation(make_stack: MakeStack) -> None:
    stack = await make_stack(manifests=[manifest_of("int8", "pt-en"), manifest_of("int8", "en-pt")])
    for target in ("pt", "pt-BR"):
        code, reason, _ = await failure(stack.translation.Translate(request(TEXT, target=target)))
        assert (code, reason) == ("INVALID_ARGUMENT", "UNKNOWN_LANGUAGE_PAIR")


async def test_a_language_that_only_a_pivot_serves_is_detected(pivoting: Stack) -> None:
    texts = ["Este pacote contém um editor de texto pequeno.", "This package has a small editor."]
    message = request(*texts)
    message.source_language_code = "auto"
    first, second = (await pivoting.translation.Translate(message)).translations
    assert (first.detected_language_code, first.pivot.language_code) == ("pt", "en")
    assert (second.detected_language_code, second.HasField("pivot")) == ("en", False)
    assert [first.text, second.text] == [text.upper() for text in texts]


async def test_a_line_that_only_the_second_model_reads_has_its_place(pivoting: Stack) -> None:
    text = "5 €\nCusta dois Euro."
    message = request(text, glossary=[pb.GlossaryEntry(source_term="Euro", target_term="€")])
    [answer] = (await pivoting.translation.Translate(message)).translations
    assert answer.text == "5 €\nCUSTA DOIS €."
    spans = [(each.source_start, each.source_end) for each in answer.segments]
    assert spans == sorted(spans) and spans[-1] == (4, len(text))


async def test_terms_that_were_not_applied_are_no_words_of_the_pivot(pivoting: Stack) -> None:
    message = request(
        "Chá or café.", glossary=[pb.GlossaryEntry(source_term="ouro", target_term="or")]
    )
    [answer] = (await pivoting.translation.Translate(message)).translations
    assert answer.text == "CHÁ OR CAFÉ." and not answer.glossary_matches
