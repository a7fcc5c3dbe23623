"""`seqway translate`."""

from pathlib import Path
from typing import Annotated

import typer

from seqway.arguments import TranslateArguments
from seqway.cli.options.connection import Connection
from seqway.cli.options.generation import GenerationFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.options.markup import Markup
from seqway.cli.options.terms import Terms
from seqway.cli.options.texts import ModelName, Texts, read_texts
from seqway.cli.output.answers import print_answers, print_streamed
from seqway.cli.output.json_output import AsJsonOrEvents, Streamed, print_events, print_json
from seqway.cli.output.notes import Notes


@with_flag_groups
def translate(
    *,
    text: Texts = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", "-i", help="A UTF-8 file, which is one document.")
    ] = None,
    source: Annotated[
        str, typer.Option("--from", metavar="LANG", help="Language of the text.")
    ] = "en",
    target: Annotated[
        str, typer.Option("--to", "-t", metavar="LANG", help="Language to translate to.")
    ] = "fr",
    model: ModelName = "",
    stream: Streamed = False,
    as_json: AsJsonOrEvents = False,
    markup: Markup,
    terms: Terms,
    generation: GenerationFlags,
    connection: Connection,
) -> None:
    """Translate TEXT, a file, or standard input.

    A file and standard input are one document: its paragraphs and white space are kept.

        seqway translate "A small text editor." --from en --to fr

        seqway translate --file notes.txt --stream

        seqway translate --file page.html --html --glossary terms.tsv --keep Seqway

        cat notes.txt | seqway translate --json
    """
    texts = read_texts(text, file)
    glossary = terms.entries()
    arguments: TranslateArguments = {
        "source": source,
        "target": target,
        "model": model,
        "mime_type": markup.mime_type(),
        "do_not_translate": terms.keep or (),
        "glossary": glossary,
        "options": generation.options(),
    }
    notes = Notes(len(texts), glossary)
    with connection.client() as client:
        if stream:
            events = client.stream_translate(texts, **arguments)
            print_events(events) if as_json else print_streamed(events, notes)
        else:
            result = client.translate(texts, **arguments)
            print_json(result) if as_json else print_answers(result.translations, notes)
