"""`seqway detect`."""

from typing import Annotated

import typer

from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.options.markup import MarkupFlags
from seqway.cli.options.texts import File, Texts, read_texts
from seqway.cli.output.json_output import AsJson, print_json
from seqway.results import DetectedLanguage

UNDECIDED = "undecided"


@with_flag_groups
def detect(
    *,
    text: Texts = None,
    file: File = None,
    languages: Annotated[
        str,
        typer.Option(
            "--among",
            metavar="LANG,LANG",
            help="Languages that the text may be in; by default those that models translate from.",
        ),
    ] = "",
    as_json: AsJson = False,
    markup: MarkupFlags,
    connection: ConnectionFlags,
) -> None:
    """Tell the language of each TEXT, a file, or standard input.

    seqway detect "Un éditeur de texte."

    seqway detect --file notes.txt --among en,fr,de

    seqway detect --file page.html --html
    """
    texts = read_texts(text, file)
    among = [code.strip() for code in languages.split(",") if code.strip()]
    with connection.client() as client:
        result = client.detect(texts, languages=among, mime_type=markup.mime_type())
    if as_json:
        print_json(result)
        return
    for one in result.detections:
        typer.echo(_line(one))


def _line(detected: DetectedLanguage) -> str:
    scores = "  ".join(f"{one.language} {one.score:.2f}" for one in detected.candidates)
    return f"{detected.language or UNDECIDED}\t{scores}".rstrip()
