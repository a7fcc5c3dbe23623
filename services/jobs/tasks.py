"""What a job does with each of its texts: a task of inference, without texts and deadline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from services.inference.catalogue import (
    CLASSIFICATION,
    QUESTION_ANSWERING,
    SUMMARIZATION,
    TRANSLATION,
)
from services.inference.generation import Generation
from services.inference.markup import GlossaryEntry
from services.inference.summarizer import SummaryLength


@dataclass(frozen=True, slots=True)
class TranslationTask:
    """See `services.inference.translator.Job`."""

    source: str
    target: str
    model: str = ""
    generation: Generation = field(default_factory=Generation)
    mime_type: str = "text/plain"
    do_not_translate: Sequence[str] = ()
    glossary: Sequence[GlossaryEntry] = ()
    kind: Literal["translation"] = "translation"


@dataclass(frozen=True, slots=True)
class SummarizationTask:
    """See `services.inference.summarizer.SummaryJob`; `length` is the name of a SummaryLength."""

    language: str = "en"
    model: str = ""
    generation: Generation = field(default_factory=Generation)
    length: str = SummaryLength.FREE.name
    kind: Literal["summarization"] = "summarization"


@dataclass(frozen=True, slots=True)
class ClassificationTask:
    """See `services.inference.classifier.ClassificationJob`."""

    model: str = ""
    top_k: int = 0
    threshold: float | None = None
    multi_label: bool | None = None
    kind: Literal["classification"] = "classification"


@dataclass(frozen=True, slots=True)
class AnsweringTask:
    """See `services.inference.answering.Question`."""

    model: str = ""
    top_k: int = 1
    max_answer_tokens: int = 0
    generation: Generation = field(default_factory=Generation)
    kind: Literal["question-answering"] = "question-answering"


Task = Annotated[
    TranslationTask | SummarizationTask | ClassificationTask | AnsweringTask,
    Field(discriminator="kind"),
]

# The task of the catalogue that a model must be for.
CATALOGUE_TASKS: Mapping[str, str] = {
    "translation": TRANSLATION,
    "summarization": SUMMARIZATION,
    "classification": CLASSIFICATION,
    "question-answering": QUESTION_ANSWERING,
}
