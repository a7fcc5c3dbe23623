"""`seqway summarize`."""

import sys
from collections.abc import Iterable, Iterator

import typer

from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.generation import GenerationFlags
from seqway.cli.options.groups import with_flag_groups
from seqway.cli.options.tasks import SummaryFlags, summarize_arguments
from seqway.cli.options.texts import File, ModelName, Texts, read_texts
from seqway.cli.output.answers import print_answers, print_streamed
from seqway.cli.output.json_output import AsJsonOrEvents, Streamed, print_events, print_json
from seqway.cli.output.notes import Notes
from seqway.events import SummarizeEvent, SummaryProgress


@with_flag_groups
def summarize(
    *,
    text: Texts = None,
    file: File = None,
    summary: SummaryFlags,
    model: ModelName = "",
    stream: Streamed = False,
    as_json: AsJsonOrEvents = False,
    generation: GenerationFlags,
    connection: ConnectionFlags,
) -> None:
    """Summarize TEXT, a file, or standard input.

    A text longer than the model's input is summarized in parts, and the summaries again.

        seqway summarize --file article.txt --length short

        cat article.txt | seqway summarize --stream
    """
    texts = read_texts(text, file)
    arguments = summarize_arguments(summary, generation, model)
    notes = Notes(len(texts))
    with connection.client() as client:
        if stream:
            events = client.stream_summarize(texts, **arguments)
            print_events(events) if as_json else print_streamed(_watched(events), notes)
        else:
            result = client.summarize(texts, **arguments)
            print_json(result) if as_json else print_answers(result.summaries, notes)


def _watched(events: Iterable[SummarizeEvent]) -> Iterator[SummarizeEvent]:
    """Shows how many parts are done, on a terminal."""
    for event in events:
        if isinstance(event, SummaryProgress) and sys.stderr.isatty():
            typer.echo(f"seqway: part {event.parts_done} of {event.parts_total}", err=True)
        yield event
