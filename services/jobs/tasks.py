"""What a job does with each of its texts: a request to inference, without texts and deadline."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    WrapSerializer,
)

from engine.contract.options import Options
from services.inference.tasks.classifier import ClassificationRequest
from services.inference.tasks.question_answering.question import Question
from services.inference.tasks.summarization.summarizer import SummaryRequest
from services.inference.tasks.translation.translator import TranslationRequest

# What each chunk adds, and no record keeps.
_ADDED = ("contents", "question", "context", "deadline")
# What records have only where it is set: those of before lack it.
_LATER = ("forbid_pivot",)
_SHOWN_APART = ("kind", "model", "source", "target")


# How records write options that are unset; those of a request alone stand in none.
_UNSET: Mapping[str, Any] = {"max_new_tokens": 0, "num_hypotheses": 0, "stop_repetition": None}
_USUAL = asdict(Options())
_OF_A_REQUEST = ("tenant", "deadline_ms", "token_ids")


def _kept(task: Any, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
    values = {
        name: value
        for name, value in serialize(task).items()
        if name not in _ADDED and (value or name not in _LATER)
    }
    if "generation" in values:
        values["generation"] = {
            name: _UNSET[name] if name in _UNSET and value is _USUAL[name] else value
            for name, value in values["generation"].items()
            if name not in _OF_A_REQUEST
        }
    return values


def _read(task: Any) -> Any:
    """Options that a record writes as unset are so."""
    if not isinstance(task, dict) or "generation" not in task:
        return task
    set_here = {
        name: value
        for name, value in task["generation"].items()
        if name not in _UNSET or value != _UNSET[name]
    }
    return {**task, "generation": set_here}


# Its `kind` is the task of the catalogue that a model must be for.
Task = Annotated[
    TranslationRequest | SummaryRequest | ClassificationRequest | Question,
    Field(discriminator="kind"),
    BeforeValidator(_read),
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
