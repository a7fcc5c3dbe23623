"""From a folder or a hub id to variants of the model repository: `seqway-models import`."""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.export.calibration_texts import generic_texts, random_proteins
from engine.export.exporter import (
    DEFAULT_PRECISIONS,
    ExportJob,
    Precision,
    Stage,
    announce,
    export,
)
from engine.export.repository import RepositoryError
from engine.export.source import guess_generation_task
from engine.export.variant import Serving
from engine.model.checkpoint import FAMILIES, Checkpoint, CheckpointError, load_checkpoint
from engine.model.hub import locate
from engine.model.tasks import guess_task
from engine.runtime.manifest import Task
from engine.training.corpus import Pair, load_pairs

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ImportRequestError(ValueError):
    """What was asked for makes no sense or can't be read; the message says what."""


@dataclass(frozen=True)
class ImportRequest:
    """What a user wants to be served.

    `task` None and `name` "" are taken from the checkpoint, `source` and `target` "" are all
    languages that it has. `calibration` and `test` are files; without the first, INT8 takes its
    ranges from texts of our own. With `keep` the variants that stand in the repository already
    stay as they are; with `force` they are replaced.
    """

    checkpoint: str
    repository: Path
    task: Task | None = None
    source: str = ""
    target: str = ""
    variants: Sequence[Precision] = DEFAULT_PRECISIONS
    name: str = ""
    template: str = ""
    calibration: Path | None = None
    test: Path | None = None
    revision: str | None = None
    allow_pickle: bool = False
    force: bool = False
    keep: bool = False
    serving: Serving = field(default_factory=Serving)

    @property
    def model_name(self) -> str:
        """The name that the variants' names begin with.

        Raises:
            ImportRequestError: it can't be a folder of the repository.

        """
        name = self.name or Path(self.checkpoint).resolve().name
        if not _NAME.fullmatch(name):
            raise ImportRequestError(
                f"{name!r} can't be a model's name: give --name with letters, digits, '.', '_' and "
                "'-' only."
            )
        return name

    def missing(self) -> list[Precision]:
        """The variants that are still to be made."""
        if not self.keep:
            return list(self.variants)
        folders = {one: self.repository / f"{self.model_name}_{one}" for one in self.variants}
        return [one for one, folder in folders.items() if not folder.exists()]


def import_checkpoint(request: ImportRequest, stage: Stage = announce) -> list[Path]:
    """Writes the variants that are missing: all of them, or nothing.

    Raises:
        ImportRequestError: a file can't be read, or the name is none.
        CheckpointError: the checkpoint can't be had, is damaged, or does not fit what is asked.
        GateError: a variant does not agree with the checkpoint.
        RepositoryError: the repository can't be written, or has one of the variants already.

    """
    precisions = request.missing()
    _refuse_standing(request)
    if not precisions:
        return []
    test = read_pairs(request.test) if request.test else ()
    calibration = _read_texts(request.calibration) if request.calibration else None
    checkpoint, task = _load(request, stage)
    if test and task == "question-answering":
        raise ImportRequestError("--test holds texts with answers; it can't measure questions.")
    job = ExportJob(
        checkpoint=checkpoint,
        name=request.model_name,
        languages=(request.source, request.target),
        repository=request.repository,
        calibration=calibration or _own_texts(checkpoint, precisions),
        test=test,
        serving=request.serving,
        task=task,
        template=request.template,
    )
    return export(job, precisions, overwrite=request.force, stage=stage)


def _refuse_standing(request: ImportRequest) -> None:
    """Says before anything is downloaded what `export` would say at its end."""
    if request.force or request.keep:
        return
    for precision in request.variants:
        folder = request.repository / f"{request.model_name}_{precision}"
        if folder.exists():
            raise RepositoryError(f"{folder} exists already: give --force to replace it.")


def _load(request: ImportRequest, stage: Stage) -> tuple[Checkpoint, Task]:
    # A download shows its own progress, by bytes.
    folder = locate(request.checkpoint, request.revision, request.allow_pickle)
    task = request.task or _generation_task(folder)
    languages = (request.source, request.target) if request.source and request.target else None
    with stage("reading the weights"):
        checkpoint = load_checkpoint(
            folder, task, allow_pickle=request.allow_pickle, languages=languages
        )
    found = task or guess_task(checkpoint.head)
    if found is None:
        raise CheckpointError(
            f"{request.checkpoint} can do more than one task: give --task translation, "
            "summarization or question-answering."
        )
    return checkpoint, found


def _generation_task(folder: Path) -> Task | None:
    """The task of an encoder-decoder that leaves no doubt about it."""
    try:
        hf = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # `load_checkpoint` says what is wrong
    if not isinstance(hf, dict) or hf.get("model_type") not in FAMILIES:
        return None
    return guess_generation_task(folder, hf)


def _own_texts(checkpoint: Checkpoint, precisions: Sequence[Precision]) -> list[str]:
    proteins = checkpoint.family == "esm"
    if "int8" in precisions:
        kind = "random amino-acid sequences" if proteins else "our own English sentences"
        logger.info("INT8 is calibrated on %s; --calibration with yours is better", kind)
    return random_proteins() if proteins else generic_texts()


def _read_texts(path: Path) -> list[str]:
    """JSON Lines of pairs, or a text a line.

    Raises:
        ImportRequestError: the file can't be read or holds no text.

    """
    if path.suffix == ".jsonl":
        return [pair.source for pair in read_pairs(path)]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ImportRequestError(f"{path} can't be read: {error}") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise ImportRequestError(f"{path} holds no text.")
    return texts


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file of JSON Lines.

    Raises:
        ImportRequestError: the file can't be read, or holds none.

    """
    try:
        pairs = load_pairs(path)
    except (OSError, ValueError, TypeError) as error:
        raise ImportRequestError(
            f"{path} is no file of pairs (JSON Lines with source and target): {error}"
        ) from error
    if not pairs:
        raise ImportRequestError(f"{path} holds no pair.")
    return pairs
