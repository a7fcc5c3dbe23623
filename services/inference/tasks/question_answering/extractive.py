"""Answers that stand in the context: found by an encoder with a span head."""

from dataclasses import replace

from services.inference.errors import InvalidOptionError, ModelFailedError
from services.inference.rows.account import Account
from services.inference.rows.encoder import Element, Encoder, Failure, Spans, read_by
from services.inference.rows.generation import Generation
from services.inference.rows.recovery import Route
from services.inference.tasks.classifier import windows_warning
from services.inference.tasks.question_answering.question import Answers, FoundAnswer, Question

_MAX_ANSWER_TOKENS = 30


class Extractor:
    """Has an encoder find the answer; the model side reads a long context in windows."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    async def answer(self, question: Question, route: Route) -> Answers:
        """The answers of a variant with a span head; raises a ServiceError."""
        _check_options(question, route.variant)
        account = Account(route.variant)
        most = question.max_answer_tokens or _MAX_ANSWER_TOKENS
        options = {"top_k": question.top_k, "max_answer_tokens": most}
        element = Element(question.context, question.question)
        [spans] = await read_by(self._encoder, route, [element], options, question.deadline)
        account.variant = route.variant
        if isinstance(spans, Failure):
            raise spans.error("question" if spans.reason == "TOO_LONG" else "context")
        if not isinstance(spans, Spans):
            raise ModelFailedError("the model did not answer with spans of the context")
        account.input_tokens = spans.input_tokens
        answers = [
            FoundAnswer(
                text=question.context[span.start : span.end],
                score=span.score,
                extracted=True,
                start=span.start,
                end=span.end,
            )
            for span in spans.answers
        ]
        warnings = windows_warning("context", spans.windows)
        return Answers(answers, spans.no_answer_score, spans.windows, account.close(), warnings)


def _check_options(question: Question, variant: str) -> None:
    if replace(question.generation, priority="interactive") != Generation():
        raise InvalidOptionError(
            f"options do not apply: {variant} extracts its answers from the context and generates "
            "no text; leave them out, or name a generative model",
            field="options",
        )
