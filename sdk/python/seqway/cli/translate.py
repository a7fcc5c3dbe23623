"""`seqway translate`."""

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from seqway.cli.connection import DEFAULT_ADDRESS, Address, Timeout, Tls
from seqway.cli.failures import friendly_failures
from seqway.cli.texts import read_texts
from seqway.client import Client
from seqway.events import StreamEvent, StreamSummary, TextDelta
from seqway.ordering import in_order
from seqway.results import TranslateResult
from seqway.streams import TranslationStream


def translate(
    text: Annotated[
        list[str] | None, typer.Argument(help="Texts, each translated on its own.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-i", help="A UTF-8 text file to translate as one document."),
    ] = None,
    source: Annotated[
        str, typer.Option("--from", "-f", metavar="LANG", help="Language of the text.")
    ] = "en",
    target: Annotated[
        str, typer.Option("--to", "-t", metavar="LANG", help="Language to translate to.")
    ] = "fr",
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="A model, or one variant of it; by default the server picks."
        ),
    ] = "",
    max_new_tokens: Annotated[
        int,
        typer.Option(
            "--max-new-tokens", min=0, help="Limit for each sentence; 0 is the model's own."
        ),
    ] = 0,
    stream: Annotated[
        bool, typer.Option("--stream", "-s", help="Print the translation while it is made.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON; with --stream, one JSON object per event."),
    ] = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 120.0,
    tls: Tls = False,
) -> None:
    """Translate TEXT, a file, or standard input.

    A file and standard input are one document: its paragraphs and white space are kept.

        seqway translate "A small text editor." --from en --to fr

        seqway translate --file notes.txt --stream

        cat notes.txt | seqway translate --json
    """
    texts = read_texts(text, file)
    with friendly_failures(address), Client(address, tls=tls, timeout=timeout) as client:
        if stream:
            events = client.stream_translate(
                texts, source=source, target=target, model=model, max_new_tokens=max_new_tokens
            )
            _print_events(events) if as_json else _print_stream(events)
        else:
            result = client.translate(
                texts, source=source, target=target, model=model, max_new_tokens=max_new_tokens
            )
            _print_result(result, as_json)


def _print_result(result: TranslateResult, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_result_document(result), ensure_ascii=False, indent=2))
        return
    for translation in result.translations:
        _write_line_end(_write(translation.text))
        _warn(translation.warnings)


def _print_stream(events: TranslationStream) -> None:
    """The text of one content after the other, each as it comes."""
    last = ""
    for piece in in_order(events):
        if piece.last:
            _write_line_end(last)
            _warn(piece.warnings)
            last = ""
        else:
            last = _write(piece.text) or last


def _print_events(events: TranslationStream) -> None:
    for event in events:
        typer.echo(json.dumps(_event_document(event), ensure_ascii=False))
        sys.stdout.flush()


def _write(text: str) -> str:
    sys.stdout.write(text)
    sys.stdout.flush()
    return text


def _write_line_end(text: str) -> None:
    """Ends the line that the text left open."""
    if not text.endswith("\n"):
        _write("\n")


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        typer.echo(f"seqway: warning: {warning}", err=True)


def _result_document(result: TranslateResult) -> dict[str, object]:
    return dataclasses.asdict(result)


def _event_document(event: StreamEvent) -> dict[str, object]:
    match event:
        case TextDelta():
            kind = "delta"
        case StreamSummary():
            kind = "summary"
        case _:
            kind = "end"
    return {"event": kind, **dataclasses.asdict(event)}
