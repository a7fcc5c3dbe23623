"""`seqway classify`."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.options.tasks import LabelFlags
from seqway.cli.options.texts import File, ModelName, Texts, read_texts
from seqway.cli.output.json_output import AsJson, print_json
from seqway.cli.output.notes import Notes
from seqway.results import Classification

_EXCERPT_CHARACTERS = 40


@with_flag_groups
def classify(
    *,
    text: Texts = None,
    file: File = None,
    labels: LabelFlags,
    model: ModelName = "",
    as_json: AsJson = False,
    connection: ConnectionFlags,
) -> None:
    """Classify each TEXT, a file, or standard input.

    seqway classify "A small text editor." --top-k 1

    seqway classify --file article.txt --json
    """
    texts = read_texts(text, file)
    with connection.client() as client:
        result = client.classify(texts, **labels.arguments(model))
    if as_json:
        print_json(result)
        return
    if any(one.labels for one in result.classifications):
        Console().print(_table(texts, result.classifications))
    notes = Notes(len(texts))
    for index, classification in enumerate(result.classifications):
        notes.of_classification(index, classification)


def _table(texts: Sequence[str], classifications: Sequence[Classification]) -> Table:
    """A row per label; the text is beside its best label."""
    table = Table(box=SIMPLE)
    if len(texts) > 1:
        table.add_column("Text", no_wrap=True)
    table.add_column("Label", overflow="fold")
    table.add_column("Score", justify="right", no_wrap=True)
    for text, classification in zip(texts, classifications, strict=True):
        for rank, one in enumerate(classification.labels):
            beside = [escape(_excerpt(text)) if rank == 0 else ""] if len(texts) > 1 else []
            table.add_row(*beside, escape(one.label), f"{one.score:.3f}")
    return table


def _excerpt(text: str) -> str:
    line = " ".join(text[: 4 * _EXCERPT_CHARACTERS].split())
    if len(line) <= _EXCERPT_CHARACTERS:
        return line
    return line[: _EXCERPT_CHARACTERS - 1] + "…"
