"""Answers that stand in the context: found by an encoder with a span head."""

from services.inference.account import Account
from services.inference.answering import Answers, FoundAnswer, Question
from services.inference.classifier import windows_warning
from services.inference.encoder import Element, Encoder, Failure, Spans
from services.inference.errors import ModelFailedError


class Extractor:
    """Has an encoder find the answer; the model side reads a long context in windows."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    async def answer(self, question: Question, variant: str) -> Answers:
        """The answers of a variant with a span head; raises a SeqwayError."""
        account = Account(variant)
        options = {"top_k": question.top_k, "max_answer_tokens": question.max_answer_tokens}
        element = Element(question.context, question.question)
        [spans] = await self._encoder.read(variant, [element], options, question.deadline)
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
