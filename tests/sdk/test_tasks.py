"""Each task over a real channel: what is sent, what comes back."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import grpc
import pytest
from seqway import (
    Answer,
    AsyncClient,
    Client,
    FinishReason,
    GenerationOptions,
    GlossaryEntry,
    GlossaryMatch,
    Hypothesis,
    InvalidRequestError,
    LanguageScore,
    NotFoundError,
    StreamSummary,
    SummaryDelta,
    SummaryEnd,
    SummaryProgress,
    TokenLogProb,
)
from seqway.v1 import (
    classification_pb2,
    generation_pb2,
    question_answering_pb2,
    summarization_pb2,
    translation_pb2,
)

from tests.sdk.clients import MAKERS
from tests.sdk.server import FakeServer
from tests.sdk.servicers.classification import CLASSIFIER
from tests.sdk.servicers.question_answering import ANSWERER
from tests.sdk.servicers.summarization import SUMMARIZER
from tests.sdk.servicers.translation import UNSURE
from tests.sdk.status import FakeFailure, error_info

LONG = "drop " * 600
EVERYTHING = GenerationOptions(num_beams=3, num_hypotheses=3, token_log_probs=True)
TOKENS = (TokenLogProb("A", 7, -0.5), TokenLogProb("", 0, -0.25))


def test_languages_are_detected(server: FakeServer) -> None:
    with Client(server.address) as client:
        one = client.detect("a text editor", languages=["de", "en"], mime_type="text/html")
        several = client.detect(["a text editor", "ok"])
        translated = client.translate("x", source="auto", target="fr")
    assert one.language == "de"
    assert one.detections[0].candidates == (LanguageScore("de", 0.75),)
    request = server.translation.requests[0]
    assert isinstance(request, translation_pb2.DetectLanguageRequest)
    assert (list(request.language_codes), request.mime_type) == (["de", "en"], "text/html")
    assert [each.language for each in several.detections] == ["en", None]
    with pytest.raises(ValueError, match="detections"):
        several.language  # noqa: B018
    assert translated.translations[0].detected_language == "en"


def test_markup_and_terms_reach_the_server(server: FakeServer) -> None:
    with Client(server.address) as client:
        client.translate(
            "<b>x</b>",
            source="en",
            target="fr",
            mime_type="text/html",
            do_not_translate=["Seqway", "x"],
            glossary=[GlossaryEntry("editor", "éditeur", case_sensitive=True)],
        )
    assert server.translation.requests == [
        translation_pb2.TranslateRequest(
            contents=["<b>x</b>"],
            source_language_code="en",
            target_language_code="fr",
            options=generation_pb2.GenerationOptions(),
            mime_type="text/html",
            do_not_translate=["Seqway", "x"],
            glossary=[
                translation_pb2.GlossaryEntry(
                    source_term="editor", target_term="éditeur", case_sensitive=True
                )
            ],
        )
    ]


def test_a_glossary_may_be_a_mapping_and_is_reported(server: FakeServer) -> None:
    with Client(server.address) as client:
        result = client.translate(
            "an editor", source="en", target="fr", glossary={"lib": "x", "editor": "y"}
        )
    assert result.translations[0].glossary_matches == (GlossaryMatch(1, 3, 9, 1, 2),)


def test_hypotheses_and_tokens_come_with_the_translation(server: FakeServer) -> None:
    with Client(server.address) as client:
        result = client.translate("x", source="en", target="fr", options=EVERYTHING)
    segment = result.translations[0].segments[0]
    assert (segment.score, segment.log_prob, segment.tokens) == (-1.5, -3.5, TOKENS)
    assert segment.alternatives == (
        Hypothesis("OTHER 2", -2.0, -4.0, TOKENS),
        Hypothesis("OTHER 3", -3.0, -6.0, TOKENS),
    )


def test_the_quality_is_there_where_it_is_estimated(server: FakeServer) -> None:
    with Client(server.address) as client:
        sure = client.translate("x", source="en", target="fr").translations[0]
        unsure = client.translate("x", source="en", target="fr", model=UNSURE).translations[0]
    assert (sure.quality, sure.segments[0].quality) == (0.75, 0.75)
    assert (unsure.quality, unsure.segments[0].quality) == (None, None)


def test_a_loop_is_flagged(server: FakeServer) -> None:
    with Client(server.address) as client:
        result = client.translate("endless", source="en", target="fr")
    assert result.translations[0].finish_reason is FinishReason.REPETITION


def test_a_text_is_summarized(server: FakeServer) -> None:
    with Client(server.address) as client:
        result = client.summarize(
            LONG, language="de", length="short", model=SUMMARIZER, options=EVERYTHING
        )
    request = cast(summarization_pb2.SummarizeRequest, server.summarization.requests[0])
    assert request.length == summarization_pb2.SUMMARY_LENGTH_SHORT
    assert (request.language_code, request.model) == ("de", SUMMARIZER)
    assert (result.text, result.model) == ("drop drop", SUMMARIZER)
    summary = result.summaries[0]
    assert [part.text for part in summary.parts] == ["drop", "drop"]
    assert summary.parts[1].source_end == len(LONG)
    assert summary.levels == 1
    assert (summary.dropped[0].source_end, summary.dropped[0].reason) == (2005, "it is too long")
    assert (summary.score, summary.log_prob, summary.tokens) == (-0.75, -1.5, TOKENS)
    assert len(summary.alternatives) == 2


def test_a_length_that_is_none_is_refused_here(server: FakeServer) -> None:
    with Client(server.address) as client, pytest.raises(InvalidRequestError) as raised:
        client.summarize("x", length=cast(Any, "tiny"))
    assert raised.value.field == "length"
    assert server.summarization.requests == []


def test_a_streamed_summary_tells_its_progress(server: FakeServer) -> None:
    with Client(server.address) as client:
        stream = client.stream_summarize("one two")
        events = list(stream)
        pieces = list(client.stream_summarize("one two").text())
    assert events[:3] == [
        SummaryProgress(0, 0, 1, 2),
        SummaryDelta(0, "one"),
        SummaryDelta(0, " two"),
    ]
    assert isinstance(events[3], SummaryEnd)
    assert events[3].summary.levels == 1
    assert isinstance(events[4], StreamSummary)
    assert stream.summary is events[4]
    assert pieces == ["one", " two"]


def test_texts_are_classified(server: FakeServer) -> None:
    with Client(server.address) as client:
        result = client.classify(["a", "warn"], top_k=2, threshold=0.15, multi_label=True)
        one = client.classify("a")
    request = cast(classification_pb2.ClassifyRequest, server.classification.requests[0])
    assert (request.top_k, request.threshold, request.multi_label) == (2, 0.15, True)
    assert [len(each.labels) for each in result.classifications] == [2, 2]
    assert result.classifications[1].warnings == ("it was split",)
    assert result.classifications[0].multi_label
    assert result.model == CLASSIFIER
    with pytest.raises(ValueError, match="2 texts"):
        _ = result.label
    assert (one.label, one.labels[0].score, len(one.labels)) == ("editors", 0.7, 3)
    bare = cast(classification_pb2.ClassifyRequest, server.classification.requests[1])
    assert not bare.HasField("threshold")
    assert not bare.HasField("multi_label")


def test_no_label_may_reach_the_threshold(server: FakeServer) -> None:
    with Client(server.address) as client:
        assert client.classify("a", threshold=0.9).label is None


def test_a_question_is_answered(server: FakeServer) -> None:
    with Client(server.address) as client:
        result = client.ask("Who?", context="Ada wrote it", top_k=2, max_answer_tokens=9)
    request = cast(
        question_answering_pb2.AnswerQuestionRequest, server.question_answering.requests[0]
    )
    assert (request.question, request.top_k, request.max_answer_tokens) == ("Who?", 2, 9)
    assert (result.text, result.model, result.windows) == ("Ada", ANSWERER, 2)
    assert result.answers[1] == Answer("wrote", True, 4, 9, 0.25, FinishReason.EOS)


def test_there_may_be_no_answer(server: FakeServer) -> None:
    with Client(server.address) as client:
        result = client.ask("Who?", context="nothing")
    assert (result.answers, result.text, result.no_answer_score) == ((), None, 0.95)


def test_a_wrong_argument_is_a_type_error(server: FakeServer) -> None:
    with Client(server.address) as client:
        with pytest.raises(TypeError, match="'modle'"):
            client.summarize("x", modle="y")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="'context'"):
            client.ask("x")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="'target'"):
            client.translate("x", source="en")  # type: ignore[call-arg]


async def test_the_async_client_answers_the_same(server: FakeServer) -> None:
    with Client(server.address) as sync:
        async with AsyncClient(server.address) as client:
            assert await client.summarize(LONG, length="long") == sync.summarize(
                LONG, length="long"
            )
            assert await client.classify(["a", "b"]) == sync.classify(["a", "b"])
            assert await client.ask("Who?", context="Ada") == sync.ask("Who?", context="Ada")
            streamed = [event async for event in client.stream_summarize("one two")]
            assert streamed == list(sync.stream_summarize("one two"))


CALLS: dict[str, Callable[[AsyncClient], Coroutine[Any, Any, object]]] = {
    "summarization": lambda client: client.summarize("x y"),
    "classification": lambda client: client.classify("x"),
    "question_answering": lambda client: client.ask("x", context="y"),
}


@pytest.mark.parametrize("client", MAKERS)
@pytest.mark.parametrize("task", CALLS)
async def test_failures_are_those_of_the_server(server: FakeServer, task: str, client: str) -> None:
    getattr(server, task).failure = FakeFailure(
        grpc.StatusCode.NOT_FOUND, "no model", (error_info("UNKNOWN_MODEL"),)
    )
    async with MAKERS[client](server.address) as caller:
        with pytest.raises(NotFoundError, match="no model"):
            await CALLS[task](caller)


@pytest.mark.parametrize("client", MAKERS)
@pytest.mark.parametrize("task", CALLS)
async def test_unavailable_is_tried_again(server: FakeServer, task: str, client: str) -> None:
    getattr(server, task).failure = FakeFailure(grpc.StatusCode.UNAVAILABLE, "moment", times=1)
    async with MAKERS[client](server.address) as caller:
        await CALLS[task](caller)
    assert len(getattr(server, task).requests) == 2


def test_leaving_a_streamed_summary_cancels_it_at_the_server(server: FakeServer) -> None:
    server.summarization.held = True
    with Client(server.address) as client:
        with client.stream_summarize("one two") as stream:
            next(stream)
        assert server.summarization.cancelled.wait(10)
