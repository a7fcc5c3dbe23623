"""`seqway jobs submit`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, cast

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from seqway.arguments import JobArguments
from seqway.cli.jobs.options import Deadline, Labels, Watched, duration, labels_of
from seqway.cli.jobs.progress import follow
from seqway.cli.options.connection import Connection
from seqway.cli.options.generation import GenerationFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.options.markup import Markup
from seqway.cli.options.terms import Terms
from seqway.cli.options.texts import ModelName
from seqway.errors import InvalidRequestError
from seqway.options import SummaryLength
from seqway.results import Job
from seqway.sync.jobs import Jobs
from seqway.tasks.job_input import JobCompression, JobFormat, JobLines, format_of, is_uri

Task = Literal["translate", "summarize", "classify", "ask"]

_GENERATING: tuple[Task, ...] = ("translate", "summarize", "ask")
_SHOWN_BYTES = 4 * 2**20


def _of_task(*names: str, text: str, **limits: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel="Task", **limits)


def _of_input(*names: str, text: str, **limits: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel="Input", **limits)


@dataclass(frozen=True)
class TaskFlags:
    """What to do, as the command of the same name takes it."""

    source: Annotated[
        str | None, _of_task("--from", metavar="LANG", text="translate: language of the text")
    ] = None
    target: Annotated[
        str | None, _of_task("--to", "-t", metavar="LANG", text="translate: language to make")
    ] = None
    length: Annotated[SummaryLength | None, _of_task("--length", text="summarize: how long")] = None
    language: Annotated[
        str | None, _of_task("--language", metavar="LANG", text="summarize: language of the text")
    ] = None
    best: Annotated[
        int | None,
        _of_task("--best", min=0, text="classify: the most labels; ask: the most answers"),
    ] = None
    threshold: Annotated[
        float | None, _of_task("--threshold", min=0.0, max=1.0, text="classify: the least score")
    ] = None
    multi_label: Annotated[
        bool | None,
        _of_task("--multi-label/--single-label", text="classify: whether several may hold"),
    ] = None
    max_answer_tokens: Annotated[
        int | None, _of_task("--max-answer-tokens", min=0, text="ask: limit of an extract")
    ] = None


@dataclass(frozen=True)
class InputFlags:
    """How to read the lines."""

    input_format: Annotated[
        JobFormat | None,
        _of_input("--input-format", text="Of the lines; by default by the file's name."),
    ] = None
    compression: Annotated[
        JobCompression | None, _of_input("--compression", text="By default by the first bytes.")
    ] = None
    text_field: Annotated[
        str, _of_input("--text-field", text="The member or column of the text.")
    ] = "text"
    id_field: Annotated[
        str, _of_input("--id-field", text="That of the line's own id; it may be missing.")
    ] = "custom_id"
    question_field: Annotated[str, _of_input("--question-field", text="ask: the question's.")] = (
        "question"
    )


@with_flag_groups
def submit(
    *,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A file, - for standard input, or a URI that the server reads "
            "(file://, s3://, gs://).",
            show_default=False,
        ),
    ],
    task: Annotated[Task, typer.Option("--task", help="What to do with each line.")] = "translate",
    model: ModelName = "",
    label: Labels = None,
    priority: Annotated[
        Literal["low", "normal", "high"],
        typer.Option("--priority", help="Which of your jobs goes first."),
    ] = "normal",
    deadline: Deadline = None,
    retention: Annotated[
        str | None,
        typer.Option(
            "--retention", metavar="DURATION", help="How long to keep it after its end, such as 7d."
        ),
    ] = None,
    request_id: Annotated[
        str,
        typer.Option(
            "--request-id", help="Makes it safe to say this twice: one id, one job.", metavar="ID"
        ),
    ] = "",
    watch: Watched = False,
    task_flags: TaskFlags,
    input_flags: InputFlags,
    markup: Markup,
    terms: Terms,
    generation: GenerationFlags,
    connection: Connection,
) -> None:
    """Hand over FILE, one text a line, and print the job's id.

    JSON Lines (objects with "text" and, if you like, "custom_id"), CSV and TSV with a line of
    column names (TSV has no quoting), plain text (.txt, a text a line) and Parquet, plain or in
    gzip or zstd.

        seqway jobs submit lines.jsonl --task translate --from en --to fr --watch

        seqway jobs submit reviews.csv.gz --task classify --text-field review --best 1

        seqway jobs submit s3://bucket/articles.parquet --task summarize --length short
    """
    arguments = _arguments_of(task, task_flags, markup, terms, generation)
    shared: JobArguments = {
        "request_id": request_id,
        "labels": labels_of(label),
        "priority": priority,
        "deadline": duration(deadline, "--deadline"),
        "retention": duration(retention, "--retention"),
        "format": input_flags.input_format or _format_of(file),
        "compression": input_flags.compression,
        "text_field": input_flags.text_field,
        "custom_id_field": input_flags.id_field,
        "question_field": input_flags.question_field,
    }
    with connection.client() as client, _opened(file) as lines:
        job = _create(client.jobs, task, lines, {**arguments, **shared, "model": model})
        typer.echo(job.id)
        if watch:
            follow(client, job)
        else:
            typer.echo(
                f"seqway: {job.counts.total:,} lines; `seqway jobs watch {job.id}` shows how far "
                "they are",
                err=True,
            )


def _create(jobs: Jobs, task: Task, lines: JobLines, arguments: dict[str, Any]) -> Job:
    create = {
        "translate": jobs.translate,
        "summarize": jobs.summarize,
        "classify": jobs.classify,
        "ask": jobs.ask,
    }[task]
    return cast(Any, create)(lines, **arguments)  # type: ignore[no-any-return]


def _arguments_of(
    task: Task, flags: TaskFlags, markup: Markup, terms: Terms, generation: GenerationFlags
) -> dict[str, Any]:
    """What the task takes; `typer.BadParameter` for an option that it doesn't know."""
    options = generation.options()
    given = {
        "--from": (flags.source, ("translate",)),
        "--to": (flags.target, ("translate",)),
        "--length": (flags.length, ("summarize",)),
        "--language": (flags.language, ("summarize",)),
        "--best": (flags.best, ("classify", "ask")),
        "--threshold": (flags.threshold, ("classify",)),
        "--multi-label": (flags.multi_label, ("classify",)),
        "--max-answer-tokens": (flags.max_answer_tokens, ("ask",)),
        "--format": (markup.mime_type() or None, ("translate",)),
        "--keep": (terms.keep, ("translate",)),
        "--glossary": (terms.entries() or None, ("translate",)),
        "the options of generation": (
            None if generation == GenerationFlags() else generation,
            _GENERATING,
        ),
    }
    for option, (value, tasks) in given.items():
        if value is not None and task not in tasks:
            raise typer.BadParameter(
                f"--task {task} has no use for it: it is for {' and '.join(tasks)}",
                param_hint=option,
            )
    match task:
        case "translate":
            return {
                "source": flags.source or "en",
                "target": flags.target or "fr",
                "mime_type": markup.mime_type(),
                "do_not_translate": terms.keep or (),
                "glossary": terms.entries(),
                "options": options,
            }
        case "summarize":
            return {"language": flags.language or "", "length": flags.length, "options": options}
        case "classify":
            return {
                "top_k": 3 if flags.best is None else flags.best,
                "threshold": flags.threshold,
                "multi_label": flags.multi_label,
            }
        case "ask":
            return {
                "top_k": flags.best or 1,
                "max_answer_tokens": flags.max_answer_tokens or 0,
                "options": options,
            }


def _format_of(file: str) -> JobFormat | None:
    """By the name; the server looks at a URI itself.  `typer.BadParameter` for one without."""
    if file == "-" or is_uri(file):
        return None
    try:
        return format_of(Path(file))
    except InvalidRequestError as error:
        raise typer.BadParameter(
            error.message.partition(": ")[2], param_hint="--input-format"
        ) from None


@contextmanager
def _opened(file: str) -> Iterator[JobLines]:
    """The lines; shows the upload of a large file to a person who waits."""
    if is_uri(file):
        yield file
        return
    if file == "-":
        yield sys.stdin.buffer
        return
    path = Path(file)
    try:
        size = path.stat().st_size
        opened: BinaryIO = path.open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None
    with opened:
        if size < _SHOWN_BYTES or not sys.stderr.isatty():
            yield opened
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            reader = progress.wrap_file(opened, size, description="Uploading")
            yield _Uploaded(reader, progress)


class _Uploaded:
    """Takes the bar away when all is read, before anything else is printed."""

    def __init__(self, reader: BinaryIO, progress: Progress) -> None:
        self._reader = reader
        self._progress = progress

    def read(self, size: int) -> bytes:
        piece = self._reader.read(size)
        if not piece:
            self._progress.stop()
        return piece
