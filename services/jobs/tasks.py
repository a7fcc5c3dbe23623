"""What a job does with each of its texts: a request to inference, without texts and deadline."""

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, TypeAdapter, WrapSerializer

from services.inference.tasks.classifier import ClassificationRequest
from services.inference.tasks.question_answering.question import Question
from services.inference.tasks.summarization.summarizer import SummaryRequest
from services.inference.tasks.translation.translator import TranslationRequest

# What each chunk adds, and no record keeps.
_ADDED = ("contents", "question", "context", "deadline")
_SHOWN_APART = ("kind", "model", "source", "target")


def _kept(task: Any, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
    return {name: value for name, value in serialize(task).items() if name not in _ADDED}


# Its `kind` is the task of the catalogue that a model must be for.
Task = Annotated[
    TranslationRequest | SummaryRequest | ClassificationRequest | Question,
    Field(discriminator="kind"),
    WrapSerializer(_kept),
]

_TASKS: TypeAdapter[Task] = TypeAdapter(Task)


def stored_form(task: Task) -> Any:
    """The task as JSON, as it stands in the record of its job."""
    return _TASKS.dump_python(task, mode="json")


def options_of(task: Task) -> dict[str, Any]:
    """What a task sets beside model and languages, as JSON; the seed, of 64 bits, as a string."""
    values = _TASKS.dump_python(task, mode="json", exclude_defaults=True)
    generation = values.get("generation", {})
    if "seed" in generation:
        generation["seed"] = str(generation["seed"])
    return {
        name: value
        for name, value in values.items()
        if name not in _SHOWN_APART and value not in ("", [], {})
    }
