"""A run that was measured: what came when, and how it was answered; as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """`moments` are seconds from the begin; `sources` and `targets` tokens of each text.

    `seconds` is from the begin until the last answer's end; latencies are seconds from when a text
    was due until its whole answer was there.
    """

    name: str
    groups: int
    moments: list[float]
    sources: list[int]
    targets: list[int]
    seconds: float
    tokens_per_second: float
    p50: float
    p95: float


def write_runs(runs: list[RecordedRun], path: Path) -> None:
    """Writes them as a JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(run) for run in runs]), encoding="utf-8")


def read_runs(path: Path) -> list[RecordedRun]:
    """What `write_runs`, or another benchmark with these fields, has written."""
    return [RecordedRun(**fields) for fields in json.loads(path.read_text(encoding="utf-8"))]
