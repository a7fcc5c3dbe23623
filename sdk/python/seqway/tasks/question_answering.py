"""Question answering: `ask`."""

from seqway import results
from seqway.options import GenerationOptions
from seqway.tasks.arguments import options_message
from seqway.tasks.generation import finish_reason, timings, token_counts
from seqway.transport.method import Method
from seqway.v1 import question_answering_pb2 as pb


def ask_request(
    question: str,
    *,
    context: str,
    top_k: int,
    max_answer_tokens: int,
    options: GenerationOptions | None,
    max_new_tokens: int | None,
    model: str,
) -> pb.AnswerQuestionRequest:
    """The request for one question."""
    return pb.AnswerQuestionRequest(
        question=question,
        context=context,
        model=model,
        top_k=top_k,
        max_answer_tokens=max_answer_tokens,
        options=options_message(options, max_new_tokens),
    )


def _result(response: pb.AnswerQuestionResponse) -> results.AskResult:
    return results.AskResult(
        answers=tuple(answer_of(one) for one in response.answers),
        no_answer_score=response.no_answer_score,
        windows=response.windows,
        token_counts=token_counts(response.token_counts),
        warnings=tuple(response.warnings),
        model=response.model,
        timings=timings(response.timings),
    )


def answer_of(message: pb.Answer) -> results.Answer:
    """One answer of a call, or of a job's line."""
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
