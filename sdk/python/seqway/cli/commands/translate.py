"""`seqway translate`."""

from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.generation import GenerationFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.options.markup import MarkupFlags
from seqway.cli.options.tasks import LanguageFlags, translate_arguments
from seqway.cli.options.terms import TermFlags
from seqway.cli.options.texts import File, ModelName, Texts, read_texts
from seqway.cli.output.answers import print_answers, print_streamed
from seqway.cli.output.json_output import AsJsonOrEvents, Streamed, print_events, print_json
from seqway.cli.output.notes import Notes


@with_flag_groups
def translate(
    *,
    text: Texts = None,
    file: File = None,
    languages: LanguageFlags,
    model: ModelName = "",
    stream: Streamed = False,
    as_json: AsJsonOrEvents = False,
    markup: MarkupFlags,
    terms: TermFlags,
    generation: GenerationFlags,
    connection: ConnectionFlags,
) -> None:
    """Translate TEXT, a file, or standard input.

    A file and standard input are one document: its paragraphs and white space are kept.

        seqway translate "A small text editor." --from en --to fr

        seqway translate --file notes.txt --stream

        seqway translate --file page.html --html --glossary terms.tsv --keep Seqway

        cat notes.txt | seqway translate --json
    """
    texts = read_texts(text, file)
    arguments = translate_arguments(languages, markup, terms, generation, model)
    notes = Notes(len(texts), terms.entries())
    with connection.client() as client:
        if stream:
            events = client.stream_translate(texts, **arguments)
            print_events(events) if as_json else print_streamed(events, notes)
        else:
            result = client.translate(texts, **arguments)
            print_json(result) if as_json else print_answers(result.translations, notes)
