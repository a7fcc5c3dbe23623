"""The form of the output: as it comes, or JSON."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from seqway.events import (
    StreamEvent,
    StreamSummary,
    SummarizeEvent,
    SummaryDelta,
    SummaryEnd,
    SummaryProgress,
    TextDelta,
    TextEnd,
)
from seqway.results import (
    AskResult,
    ClassifyResult,
    DetectResult,
    Model,
    SummarizeResult,
    TranslateResult,
)

Answer = AskResult | ClassifyResult | DetectResult | Model | SummarizeResult | TranslateResult

AsJson = Annotated[bool, typer.Option("--json", help="Print all fields as JSON.")]
AsJsonOrEvents = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print all fields as JSON; with --stream, one object per event.",
    ),
]
Streamed = Annotated[
    bool, typer.Option("--stream", "-s", help="Print the answer while it is generated.")
]

_KINDS = {
    TextDelta: "delta",
    SummaryDelta: "delta",
    SummaryProgress: "progress",
    TextEnd: "end",
    SummaryEnd: "end",
    StreamSummary: "summary",
}


def print_json(answer: Answer | Sequence[Answer]) -> None:
    """An answer, or a list of them, with all fields."""
    document: Any = (
        [dataclasses.asdict(one) for one in answer]
        if isinstance(answer, Sequence)
        else dataclasses.asdict(answer)
    )
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))


def print_events(events: Iterable[StreamEvent | SummarizeEvent]) -> None:
    """An event a line."""
    for event in events:
        document = {"event": _KINDS[type(event)], **dataclasses.asdict(event)}
        typer.echo(json.dumps(document, ensure_ascii=False))
        sys.stdout.flush()
