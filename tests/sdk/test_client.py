import pytest
from seqway import Client, FinishReason, Pivot, StreamSummary, TextDelta, TextEnd
from seqway.v1.translation_pb2 import TranslateRequest

from tests.sdk.server import FakeServer
from tests.sdk.servicers.classification import CLASSIFIER
from tests.sdk.servicers.models import MANY, MODELS
from tests.sdk.servicers.translation import VARIANT


def test_one_text_is_translated(server: FakeServer) -> None:
    with Client(server.address) as client:
        result = client.translate("hello", source="en", target="fr")
    assert result.text == "HELLO"
    assert result.model == VARIANT
    assert result.timings.total == 1.5
    translation = result.translations[0]
    assert translation.finish_reason is FinishReason.EOS
    assert (translation.token_counts.input, translation.token_counts.output) == (3, 4)
    assert translation.segments[0].source_end == 5


def test_several_texts_keep_their_order(server: FakeServer) -> None:
    with Client(server.address) as client:
        result = client.translate(["b", "a"], source="en", target="fr")
    assert result.texts == ("B", "A")
    with pytest.raises(ValueError, match="2 texts"):
        _ = result.text


def test_all_arguments_reach_the_server(server: FakeServer) -> None:
    with Client(server.address) as client:
        client.translate("x", source="en", target="fr", model="en-fr", max_new_tokens=7)
    request = server.translation.requests[0]
    assert isinstance(request, TranslateRequest)
    assert (request.source_language_code, request.target_language_code) == ("en", "fr")
    assert (request.model, request.options.max_new_tokens) == ("en-fr", 7)


def test_an_answer_says_through_which_language_it_went(server: FakeServer) -> None:
    with Client(server.address) as client:
        answers = client.translate("x", source="pt", target="fr").translations
        assert answers[0].pivot == Pivot("en", "pt-en_int8")
        direct = client.translate("x", source="pt", target="fr", forbid_pivot=True)
        assert direct.translations[0].pivot is None


def test_a_stream_brings_typed_events(server: FakeServer) -> None:
    with Client(server.address) as client:
        stream = client.stream_translate("hey", source="en", target="fr")
        events = list(stream)
    assert [type(event) for event in events] == [TextDelta] * 3 + [TextEnd, StreamSummary]
    assert stream.summary is events[-1]
    assert stream.summary is not None
    assert stream.summary.model == VARIANT


def test_the_text_of_a_stream_is_the_unary_answer(server: FakeServer) -> None:
    with Client(server.address) as client:
        pieces = list(client.stream_translate("héy\n😀", source="en", target="fr").text())
        whole = client.translate("héy\n😀", source="en", target="fr").text
    assert len(pieces) > 1
    assert "".join(pieces) == whole


def test_models_are_listed_over_all_pages(server: FakeServer) -> None:
    with Client(server.address) as client:
        models = client.list_models()
    assert [model.name for model in models] == list(MODELS)
    translator = models[1]
    assert str(translator.language_pairs[0]) == "en → fr"
    assert translator.quality == {"bleu": 30.1}
    assert translator.generation_defaults == {"num_beams": 4}


def test_a_model_tells_its_labels_or_languages(server: FakeServer) -> None:
    with Client(server.address) as client:
        classifier, many = client.get_model(CLASSIFIER), client.get_model(MANY)
    assert (classifier.labels[:2], classifier.multi_label) == (("editors", "libs"), True)
    assert (many.source_languages, many.target_languages) == (("de", "en", "fr"), ("de", "en"))
    assert many.language_pairs == ()


def test_one_model_is_described(server: FakeServer) -> None:
    with Client(server.address) as client:
        model = client.get_model(VARIANT)
    assert (model.precision, model.max_source_tokens, model.ready) == ("int8", 512, True)


def test_the_address_comes_from_the_environment(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQWAY_ADDRESS", server.address)
    with Client() as client:
        assert client.translate("a", source="en", target="fr").text == "A"
    monkeypatch.delenv("SEQWAY_ADDRESS")
    assert Client().address == "127.0.0.1:50051"
