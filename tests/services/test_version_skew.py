"""What a process of this version makes of what a later one has written."""

import json
from typing import Any

import pytest

from services.inference.models.manifest import Manifest
from services.inference.rows.events import parse_events
from services.jobs.store.records import (
    ACTIVES,
    FINALS,
    RUNS,
    ActiveRecord,
    Codec,
    FinalRecord,
    LineCounts,
    RunRecord,
    State,
)
from tests.services.twin.manifests import manifest_of

_LATER = {"of_a_later_version": {"deep": [1]}}
_RECORDS: list[tuple[Codec[Any], Any]] = [
    (ACTIVES, ActiveRecord("tenant", 1.0)),
    (RUNS, RunRecord(2, [0, 3], LineCounts(), None)),
    (FINALS, FinalRecord(State.SUCCEEDED, LineCounts(), 1.0, 2.0, "output", "errors")),
]


@pytest.mark.parametrize(("codec", "record"), _RECORDS)
def test_records_may_have_more_keys(codec: Codec[Any], record: Any) -> None:
    later = json.loads(codec.encode(record)) | _LATER
    assert codec.decode(json.dumps(later).encode()) == record


def test_events_may_have_more_keys() -> None:
    event = {"type": "delta", "i": 0, "text": "a"}
    expected = parse_events(json.dumps([event]).encode())
    assert parse_events(json.dumps([event | _LATER]).encode()) == expected


def test_manifests_may_have_more_keys() -> None:
    manifest = manifest_of()
    assert Manifest.model_validate(manifest.model_dump() | _LATER) == manifest
