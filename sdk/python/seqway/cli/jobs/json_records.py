"""Jobs and their results as JSON."""

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import typer

from seqway.results import FinishReason, Job, LineResult

_ALWAYS = ("index", "status")
_NOTHING = (None, "", (), 0.0, FinishReason.UNSPECIFIED, {"input": 0, "output": 0})


def print_jobs(jobs: Job | Sequence[Job]) -> None:
    """A job, or a list of them, with all fields."""
    document: Any = (
        dataclasses.asdict(jobs)
        if isinstance(jobs, Job)
        else [dataclasses.asdict(job) for job in jobs]
    )
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2, default=_plain))


def line_of(result: LineResult) -> str:
    """A result as a line of JSON, without empty fields."""
    document = {
        name: value
        for name, value in dataclasses.asdict(result).items()
        if name in _ALWAYS or value not in _NOTHING or (name, value) == ("quality", 0.0)
    }
    if result.succeeded and not result.labels and not result.answers:
        document["text"] = result.text
    return json.dumps(document, ensure_ascii=False)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON")
