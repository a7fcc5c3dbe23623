"""A question and its context in, answers out: what both ways of answering share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from engine.contract.events import FinishReason
from engine.contract.options import Options
from services.inference.rows.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of which context; `deadline` is a time of the running event loop's clock.

    `max_answer_tokens` is for an extractive model (0: 30), `generation` for a generative one.
    A batch job keeps one without question, context and deadline, which its lines add.
    """

    question: str = ""
    context: str = ""
    deadline: float = inf
    model: str = ""
    top_k: int = 1
    max_answer_tokens: int = 0
    generation: Options = field(default_factory=Options)
    kind: Literal["question-answering"] = "question-answering"


@dataclass(frozen=True, slots=True)
class FoundAnswer:
    """An answer; an extracted one is `context[start:end]`, in code points.  `score` is 0 to 1."""

    text: str
    score: float
    extracted: bool = False
    start: int = 0
    end: int = 0
    finish_reason: FinishReason = FinishReason.EOS


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers, best first, and how well "there is none" fits (0 of a generative model)."""

    answers: Sequence[FoundAnswer]
    no_answer_score: float
    windows: int
    account: Account
    warnings: Sequence[str]
