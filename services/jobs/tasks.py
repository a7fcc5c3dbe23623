"""What a job does with each of its texts: a task of inference, without texts and deadline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from services.inference.models.catalogue import (
    CLASSIFICATION,
    QUESTION_ANSWERING,
    SUMMARIZATION,
    TRANSLATION,
)
from services.inference.rows.generation import Generation
from services.inference.tasks.summarization.summarizer import SummaryLength
from services.inference.text.terms import TermEntry


@dataclass(frozen=True, slots=True)
class TranslationTask:
    """See `services.inference.tasks.translation.translator.Job`."""

    source: str
    target: str
    model: str = ""
    generation: Generation = field(default_factory=Generation)
    mime_type: str = "text/plain"
    do_not_translate: Sequence[str] = ()
    glossary: Sequence[TermEntry] = ()
    kind: Literal["translation"] = "translation"


@dataclass(frozen=True, slots=True)
class SummarizationTask:
    """See `SummaryJob`; `length` is the name of a SummaryLength."""

    language: str = "en"
    model: str = ""
    generation: Generation = field(default_factory=Generation)
    length: str = SummaryLength.FREE.name
    kind: Literal["summarization"] = "summarization"


@dataclass(frozen=True, slots=True)
class ClassificationTask:
    """See `services.inference.tasks.classifier.ClassificationJob`."""

    model: str = ""
    top_k: int = 0
    threshold: float | None = None
    multi_label: bool | None = None
    kind: Literal["classification"] = "classification"


@dataclass(frozen=True, slots=True)
class AnsweringTask:
    """See `services.inference.tasks.question_answering.question.Question`."""

    model: str = ""
    top_k: int = 1
    max_answer_tokens: int = 0
    generation: Generation = field(default_factory=Generation)
    kind: Literal["question-answering"] = "question-answering"


Task = Annotated[
    TranslationTask | SummarizationTask | ClassificationTask | AnsweringTask,
    Field(discriminator="kind"),
]

_TASKS: TypeAdapter[Task] = TypeAdapter(Task)
_NAMED = ("kind", "model", "source", "target")


def options_of(task: Task) -> dict[str, Any]:
    """What a task sets beside model and languages, as JSON; the seed, of 64 bits, as a string."""
    values = _TASKS.dump_python(task, mode="json", exclude_defaults=True)
    generation = values.get("generation", {})
    if "seed" in generation:
        generation["seed"] = str(generation["seed"])
    return {
        name: value
        for name, value in values.items()
        if name not in _NAMED and value not in ("", [], {})
    }


# The task of the catalogue that a model must be for.
CATALOGUE_TASKS: Mapping[str, str] = {
    "translation": TRANSLATION,
    "summarization": SUMMARIZATION,
    "classification": CLASSIFICATION,
    "question-answering": QUESTION_ANSWERING,
}
