"""`seqway ask`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.generation import GenerationFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.options.tasks import AnswerFlags
from seqway.cli.options.texts import ModelName, read_texts
from seqway.cli.output.json_output import AsJson, print_json
from seqway.cli.output.notes import Notes
from seqway.results import AskResult


@with_flag_groups
def ask(
    *,
    question: Annotated[str, typer.Argument(help="The question.")],
    context: Annotated[
        str | None, typer.Option("--context", "-c", help="The text that holds the answer.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "--context-file", "-f", "-i", help="UTF-8 text file that holds the context."
        ),
    ] = None,
    answers: AnswerFlags,
    model: ModelName = "",
    as_json: AsJson = False,
    generation: GenerationFlags,
    connection: ConnectionFlags,
) -> None:
    """Answer QUESTION from a context: an option, a file, or standard input.

    seqway ask "Who wrote it?" --context "The editor was written by Ada."

    seqway ask "Who wrote it?" --file article.txt --answers 3
    """
    contexts = None if context is None else [context]
    texts = read_texts(contexts, file, argument_name="--context")
    options = generation.options()
    with connection.client() as client:
        result = client.ask(
            question,
            context=texts[0],
            top_k=answers.answers,
            max_answer_tokens=answers.max_answer_tokens,
            model=model,
            options=options,
        )
    if as_json:
        print_json(result)
        return
    _print_answers(result, answers.answers)
    Notes().of_answers(result)


def _print_answers(result: AskResult, wanted: int) -> None:
    """One answer as text alone, several as a table with scores and places in the context."""
    if wanted == 1 and result.answers:
        typer.echo(result.answers[0].text)
    elif result.answers:
        table = Table("Answer", box=SIMPLE)
        table.add_column("Score", justify="right", no_wrap=True)
        table.add_column("Characters", no_wrap=True)
        for answer in result.answers:
            place = f"{answer.start}-{answer.end}" if answer.extracted else ""
            table.add_row(escape(answer.text), f"{answer.score:.3f}", place)
        Console().print(table)
