import math
from typing import Any

import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from seqway.v1 import generation_pb2 as generation
from seqway.v1 import question_answering_pb2 as pb

from tests.services.twin import extractor, generative_answerer

CONTEXT = "😀 The editor vim is small. The editor emacs is large. The shell bash is old."


@pytest.fixture
async def stack(make_stack: MakeStack) -> Stack:
    return await make_stack(manifests=[extractor(), generative_answerer()])


def request(**more: Any) -> pb.AnswerQuestionRequest:
    defaults = {"question": "Which editor?", "context": CONTEXT, "model": "spans"}
    return pb.AnswerQuestionRequest(**(defaults | more))


async def ask(stack: Stack, **more: Any) -> pb.AnswerQuestionResponse:
    answer: pb.AnswerQuestionResponse = await stack.questions.AnswerQuestion(request(**more))
    return answer


async def test_extracts_from_the_context(stack: Stack) -> None:
    answer = await ask(stack, top_k=3)
    assert [each.text for each in answer.answers] == ["vim", "emacs"]
    for each in answer.answers:
        assert each.extracted and CONTEXT[each.start : each.end] == each.text
        assert each.finish_reason == generation.FINISH_REASON_EOS
    assert [each.score for each in answer.answers] == [0.5, 0.25]
    assert answer.no_answer_score == 0.25 and answer.windows == 1 and not answer.warnings
    assert answer.model == "spans_fp32" and answer.token_counts.input > 10
    assert stack.twin.options == [{"top_k": 3, "max_answer_tokens": 30}]


async def test_no_answer_is_no_error(stack: Stack) -> None:
    answer = await ask(stack, question="Which kernel?")
    assert not answer.answers and answer.no_answer_score == 1


async def test_a_long_context_is_extracted_from_in_windows(stack: Stack) -> None:
    stack.twin.limit = 5
    answer = await ask(stack)
    assert answer.windows > 3 and "windows" in answer.warnings[0]


async def test_writes_an_answer_from_the_filled_template(stack: Stack) -> None:
    question = "Is {context} kept?"
    answer = await ask(stack, model="answer", question=question, options={"max_new_tokens": 5})
    assert stack.twin.texts == [f"q: {question} c: {CONTEXT}"]
    [only] = answer.answers
    assert only.text == "small yes" and not only.extracted and (only.start, only.end) == (0, 0)
    assert only.score == pytest.approx(math.exp(-0.5)) and answer.no_answer_score == 0
    assert only.finish_reason == generation.FINISH_REASON_EOS
    assert stack.twin.options[0]["max_new_tokens"] == 5
    assert answer.token_counts.output == 2


async def test_a_long_context_is_answered_window_by_window(stack: Stack) -> None:
    stack.twin.limit = 20
    context = " ".join(f"Sentence {n} of all of them is number{n}." for n in range(30))
    answer = await ask(stack, model="answer", question="What?", context=context, top_k=50)
    assert answer.windows > 10 and "windows" in answer.warnings[0]
    found = {each.text for each in answer.answers}
    assert {f"number{n} yes" for n in range(30)} <= found
    scores = [each.score for each in answer.answers]
    assert scores == sorted(scores, reverse=True)
    assert len((await ask(stack, model="answer", context=context)).answers) == 1


async def test_a_question_that_fills_the_model_is_named(stack: Stack) -> None:
    stack.twin.limit = 10
    call = stack.questions.AnswerQuestion(request(model="answer", question="word " * 20))
    assert await failure(call) == ("INVALID_ARGUMENT", "TEXT_TOO_LONG", "question")


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (request(question=" "), ("INVALID_ARGUMENT", "FIELD_REQUIRED", "question")),
        (request(context=""), ("INVALID_ARGUMENT", "FIELD_REQUIRED", "context")),
        (request(context="a" * 101), ("INVALID_ARGUMENT", "TEXT_TOO_LONG", "context")),
        (request(top_k=-1), ("INVALID_ARGUMENT", "INVALID_OPTION", "top_k")),
        (request(top_k=101), ("INVALID_ARGUMENT", "INVALID_OPTION", "top_k")),
        (
            request(max_answer_tokens=513),
            ("INVALID_ARGUMENT", "INVALID_OPTION", "max_answer_tokens"),
        ),
        (
            request(options={"num_beams": 9}),
            ("INVALID_ARGUMENT", "INVALID_OPTION", "options.num_beams"),
        ),
        (
            request(options={"num_hypotheses": 2, "num_beams": 2}),
            ("INVALID_ARGUMENT", "INVALID_OPTION", "options.num_hypotheses"),
        ),
        (
            request(options={"token_log_probs": True}),
            ("INVALID_ARGUMENT", "INVALID_OPTION", "options.token_log_probs"),
        ),
        (request(model="nope"), ("NOT_FOUND", "UNKNOWN_MODEL", "model")),
        (request(context="~"), ("INTERNAL", "MODEL_FAILED", "context")),
    ],
)
async def test_bad_requests(
    make_stack: MakeStack, bad: pb.AnswerQuestionRequest, expected: tuple[str, str, str]
) -> None:
    stack = await make_stack(manifests=[extractor()], max_text_characters=100)
    assert await failure(stack.questions.AnswerQuestion(bad)) == expected


async def test_options_of_the_other_kind_are_refused(stack: Stack) -> None:
    wrong = request(model="spans", options={"num_beams": 4})
    refused = ("INVALID_ARGUMENT", "INVALID_OPTION", "options")
    assert await failure(stack.questions.AnswerQuestion(wrong)) == refused
    await stack.questions.AnswerQuestion(request(model="spans", options={"priority": 2}))
    wrong = request(model="answer", max_answer_tokens=5)
    refused = ("INVALID_ARGUMENT", "INVALID_OPTION", "max_answer_tokens")
    assert await failure(stack.questions.AnswerQuestion(wrong)) == refused


async def test_leaving_cancels_upstream(stack: Stack) -> None:
    stack.twin.gate.clear()
    for model in ("spans", "answer"):
        call = stack.questions.AnswerQuestion(request(model=model))
        await wait_until(lambda: stack.twin.running == 1)
        call.cancel()
        await wait_until(lambda: stack.twin.running == 0)
    assert stack.twin.cancelled == 2
