"""`seqway.v1.QuestionAnsweringService`: its servicer, checks and conversion."""

from seqway.v1 import question_answering_pb2 as pb
from seqway.v1 import question_answering_pb2_grpc

from services.gateway.api import responses
from services.gateway.api.requests import (
    check_absent,
    check_range,
    check_required,
    check_text,
    generation_of,
)
from services.gateway.api.settings import TextSettings
from services.gateway.calls.handlers import Context
from services.gateway.calls.lifetime import deadline_of
from services.gateway.calls.settings import CallSettings
from services.inference.errors import InvalidOptionError
from services.inference.tasks.question_answering.answerer import Answerer
from services.inference.tasks.question_answering.question import Answers, FoundAnswer, Question

# The engine refuses more.
MAX_ANSWERS = 100
MAX_ANSWER_TOKENS = 512


class QuestionAnsweringServicer(question_answering_pb2_grpc.QuestionAnsweringServiceServicer):
    """Checks, converts and calls the answerer; raises ServiceError."""

    def __init__(self, answerer: Answerer, calls: CallSettings, texts: TextSettings) -> None:
        self._answerer = answerer
        self._calls = calls
        self._texts = texts

    async def AnswerQuestion(  # noqa: N802
        self, request: pb.AnswerQuestionRequest, context: Context
    ) -> pb.AnswerQuestionResponse:
        """Answers when every window of the context is read."""
        check(request, self._texts)
        question = request_of(request, deadline_of(context, self._calls))
        answers = await self._answerer.answer(question)
        responses.record_account(answers.account)
        return _response(answers)


def check(
    message: pb.AnswerQuestionRequest, settings: TextSettings, *, in_job: bool = False
) -> None:
    """Checks all that can be checked without knowing the models; in a job there are no texts."""
    for name, text in (("question", message.question), ("context", message.context)):
        if in_job:
            check_absent(name, text)
            continue
        check_required(name, text)
        check_text(name, text, settings.max_text_characters)
    check_range("top_k", message.top_k, MAX_ANSWERS)
    check_range("max_answer_tokens", message.max_answer_tokens, MAX_ANSWER_TOKENS)
    for name in ("num_hypotheses", "token_log_probs"):
        if getattr(message.options, name) > 1 or getattr(message.options, name) is True:
            raise InvalidOptionError(
                f"options.{name} is not supported here: answers to questions do not carry it",
                field=f"options.{name}",
            )


def request_of(message: pb.AnswerQuestionRequest, deadline: float) -> Question:
    """The question in a message that has been checked; options are checked here."""
    return Question(
        question=message.question,
        context=message.context,
        deadline=deadline,
        model=message.model,
        top_k=message.top_k or 1,
        max_answer_tokens=message.max_answer_tokens,
        generation=generation_of(message.options),
    )


def _response(answers: Answers) -> pb.AnswerQuestionResponse:
    account = answers.account
    return pb.AnswerQuestionResponse(
        answers=[_answer(each) for each in answers.answers],
        no_answer_score=answers.no_answer_score,
        windows=answers.windows,
        token_counts=responses.token_counts(account.input_tokens, account.output_tokens),
        warnings=answers.warnings,
        model=account.variant,
        timings=responses.timings(account),
    )


def _answer(answer: FoundAnswer) -> pb.Answer:
    return pb.Answer(
        text=answer.text,
        extracted=answer.extracted,
        start=answer.start,
        end=answer.end,
        score=answer.score,
        finish_reason=responses.finish_reason(answer.finish_reason),
    )
