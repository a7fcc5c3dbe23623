"""The messages of `seqway.v1.QuestionAnsweringService`."""

from seqway.v1 import question_answering_pb2 as pb

from services.gateway.api.messages import generation
from services.gateway.api.messages.options import generation_of
from services.inference.tasks.question_answering.question import Answers, FoundAnswer, Question


def question_of(request: pb.AnswerQuestionRequest, deadline: float) -> Question:
    """The question of a request whose fields, but for the options, have been checked."""
    return Question(
        question=request.question,
        context=request.context,
        deadline=deadline,
        model=request.model,
        top_k=request.top_k or 1,
        max_answer_tokens=request.max_answer_tokens,
        generation=generation_of(request.options),
    )


def response(answers: Answers) -> pb.AnswerQuestionResponse:
    """The answer."""
    account = answers.account
    return pb.AnswerQuestionResponse(
        answers=[_answer(each) for each in answers.answers],
        no_answer_score=answers.no_answer_score,
        windows=answers.windows,
        token_counts=generation.token_counts(account.input_tokens, account.output_tokens),
        warnings=answers.warnings,
        model=account.variant,
        timings=generation.timings(account),
    )


def _answer(answer: FoundAnswer) -> pb.Answer:
    return pb.Answer(
        text=answer.text,
        extracted=answer.extracted,
        start=answer.start,
        end=answer.end,
        score=answer.score,
        finish_reason=generation.finish_reason(answer.finish_reason),
    )
