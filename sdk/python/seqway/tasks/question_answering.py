"""Question answering: `ask`."""

from typing import Required

from seqway import results
from seqway.tasks.arguments import GenerationArguments, options_message
from seqway.tasks.generation import finish_reason, timings, token_counts
from seqway.transport.method import Method, check_names
from seqway.v1 import question_answering_pb2 as pb


class AskArguments(GenerationArguments, total=False):
    """What `ask` takes beside the question.

    Attributes:
        context: The text that holds the answer.
        top_k: The most answers; 1 by default.
        max_answer_tokens: The most tokens of an extracted answer; 30 by default.

    """

    context: Required[str]
    top_k: int
    max_answer_tokens: int


def ask_request(question: str, arguments: AskArguments) -> pb.AnswerQuestionRequest:
    """The request for one question."""
    check_names(arguments, AskArguments)
    return pb.AnswerQuestionRequest(
        question=question,
        context=arguments["context"],
        model=arguments.get("model", ""),
        top_k=arguments.get("top_k", 0),
        max_answer_tokens=arguments.get("max_answer_tokens", 0),
        options=options_message(arguments),
    )


def _result(response: pb.AnswerQuestionResponse) -> results.AskResult:
    return results.AskResult(
        answers=tuple(_answer(one) for one in response.answers),
        no_answer_score=response.no_answer_score,
        windows=response.windows,
        token_counts=token_counts(response.token_counts),
        warnings=tuple(response.warnings),
        model=response.model,
        timings=timings(response.timings),
    )


def _answer(message: pb.Answer) -> results.Answer:
    return results.Answer(
        text=message.text,
        extracted=message.extracted,
        start=message.start,
        end=message.end,
        score=message.score,
        finish_reason=finish_reason(message.finish_reason),
    )


ASK = Method(
    "/seqway.v1.QuestionAnsweringService/AnswerQuestion",
    pb.AnswerQuestionRequest,
    pb.AnswerQuestionResponse,
    _result,
)
