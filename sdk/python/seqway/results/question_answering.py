"""What `ask` returns."""

from dataclasses import dataclass

from seqway.results.generation import FinishReason, Timings, TokenCounts


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer and its score, from 0 to 1.

    An `extracted` answer is the span [start, end) of the context, in code points; a generated one
    has no span.
    """

    text: str
    extracted: bool
    start: int
    end: int
    score: float
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True)
class AskResult:
    """The answers to a question, best first; empty when the context holds none.

    `no_answer_score` scores "there is no answer" on the same scale.
    """

    answers: tuple[Answer, ...]
    no_answer_score: float
    windows: int
    token_counts: TokenCounts
    warnings: tuple[str, ...]
    model: str
    timings: Timings

    @property
    def text(self) -> str | None:
        """The best answer; None when the context holds none."""
        return self.answers[0].text if self.answers else None
