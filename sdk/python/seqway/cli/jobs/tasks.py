"""`seqway jobs translate`, `summarize`, `classify` and `ask`: new jobs."""

from typing import Annotated

import typer

from seqway.arguments import JobArguments
from seqway.cli.jobs.submission import LinesFile, SubmissionFlags, submit
from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.generation import GenerationFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.options.markup import MarkupFlags
from seqway.cli.options.tasks import (
    AnswerFlags,
    LabelFlags,
    LanguageFlags,
    SummaryFlags,
    summarize_arguments,
    translate_arguments,
)
from seqway.cli.options.terms import TermFlags
from seqway.cli.options.texts import ModelName
from seqway.results import Job
from seqway.sync.jobs import Jobs
from seqway.tasks.job_input import JobLines


@with_flag_groups
def translate(
    *,
    file: LinesFile,
    languages: LanguageFlags,
    model: ModelName = "",
    submission: SubmissionFlags,
    markup: MarkupFlags,
    terms: TermFlags,
    generation: GenerationFlags,
    connection: ConnectionFlags,
) -> None:
    """Submit FILE, translate each of its texts, and print the job's id.

    seqway jobs translate lines.jsonl --from en --to fr --watch
    """
    arguments = translate_arguments(languages, markup, terms, generation, model)
    submit(
        connection,
        file,
        submission,
        lambda jobs, lines, shared: jobs.translate(lines, **arguments, **shared),
    )


@with_flag_groups
def summarize(
    *,
    file: LinesFile,
    summary: SummaryFlags,
    model: ModelName = "",
    submission: SubmissionFlags,
    generation: GenerationFlags,
    connection: ConnectionFlags,
) -> None:
    """Submit FILE, summarize each of its texts, and print the job's id.

    seqway jobs summarize s3://bucket/articles.parquet --length short
    """
    arguments = summarize_arguments(summary, generation, model)
    submit(
        connection,
        file,
        submission,
        lambda jobs, lines, shared: jobs.summarize(lines, **arguments, **shared),
    )


@with_flag_groups
def classify(
    *,
    file: LinesFile,
    labels: LabelFlags,
    model: ModelName = "",
    submission: SubmissionFlags,
    connection: ConnectionFlags,
) -> None:
    """Submit FILE, classify each of its texts, and print the job's id.

    seqway jobs classify reviews.csv.gz --text-field review --top-k 1
    """
    arguments = labels.arguments(model)
    submit(
        connection,
        file,
        submission,
        lambda jobs, lines, shared: jobs.classify(lines, **arguments, **shared),
    )


@with_flag_groups
def ask(
    *,
    file: LinesFile,
    answers: AnswerFlags,
    question_field: Annotated[
        str, typer.Option("--question-field", help="Member or column of the question.")
    ] = "question",
    model: ModelName = "",
    submission: SubmissionFlags,
    generation: GenerationFlags,
    connection: ConnectionFlags,
) -> None:
    """Submit FILE, answer each question from the text of its line, and print the job's id.

    seqway jobs ask questions.jsonl --answers 3
    """
    options = generation.options()

    def create(jobs: Jobs, lines: JobLines, shared: JobArguments) -> Job:
        shared["question_field"] = question_field
        return jobs.ask(
            lines,
            top_k=answers.answers,
            max_answer_tokens=answers.max_answer_tokens,
            options=options,
            model=model,
            **shared,
        )

    submit(connection, file, submission, create)
