"""Which task a checkpoint was made for, told by the class that wrote it."""

from pathlib import Path
from typing import Literal

from engine.contract.manifest import Task
from engine.model.errors import CheckpointError

Head = Literal["classification", "spans"]

_HEAD_OF_TASK: dict[Task, Head] = {
    "classification": "classification",
    "question-answering": "spans",
}
_TASK_OF_HEAD: dict[Head, Task] = {head: task for task, head in _HEAD_OF_TASK.items()}
_HEAD_OF_CLASS: dict[str, Head] = {
    "ForSequenceClassification": "classification",
    "ForQuestionAnswering": "spans",
}
_GENERATES = ("ForConditionalGeneration", "MTModel", "Model")
"""A bare encoder-decoder ("BartModel") is complete where its head is the embeddings' copy."""


def check_architecture(
    folder: Path, kind: Literal["seq2seq", "encoder"], classes: list[str], task: Task | None
) -> Head | None:
    """The head that serves `task`; None for a checkpoint that generates text.

    `classes` are the checkpoint's `architectures`; older ones name none.

    Raises:
        CheckpointError: the checkpoint was not made for the task.

    """
    name = classes[0] if classes else ""
    found = next((head for end, head in _HEAD_OF_CLASS.items() if name.endswith(end)), None)
    if kind == "seq2seq":
        _check_seq2seq(folder, name, task)
        return None
    if task in ("translation", "summarization"):
        raise CheckpointError(f"{folder} holds {name or 'an encoder'}, which can't do {task}.")
    wanted = _HEAD_OF_TASK[task] if task else found
    if wanted is None and not name:
        raise CheckpointError(
            f"{folder} does not tell its head, since its config.json has no architectures: give "
            "--task classification or question-answering."
        )
    if wanted is None or (name and wanted != found):
        head = f"head for {task}" if task else "head that is supported"
        made_for = f"; it was made for {_TASK_OF_HEAD[found]}" if found else ""
        advice = "give that --task" if found else "fine-tune it first"
        raise CheckpointError(f"{folder} holds {name}, which has no {head}{made_for}: {advice}.")
    return wanted


def _check_seq2seq(folder: Path, name: str, task: Task | None) -> None:
    if _can_not_generate(name):
        raise CheckpointError(
            f"{folder} holds {name}, which is not supported: of an encoder-decoder, only the form "
            "that generates text is (translation, summarization, question answering)."
        )
    if task == "classification":
        raise CheckpointError(
            f"{folder} holds {name or 'an encoder-decoder'}, which generates text and can't do "
            "classification: give --task translation, summarization or question-answering."
        )


def _can_not_generate(name: str) -> bool:
    return bool(name) and (name.endswith("EncoderModel") or not name.endswith(_GENERATES))


def guess_task(head: Head | None) -> Task | None:
    """The task that a head was made for; None for a checkpoint that generates text."""
    return _TASK_OF_HEAD[head] if head else None
