"""What a process of this version makes of what a later one has written."""

import json
from typing import Any

import pytest

from engine.contract.events import Refused
from engine.contract.manifest import decode_manifest
from services.inference.triton.wire import events_of, reading_of
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
    expected = events_of(json.dumps([event]).encode())
    assert events_of(json.dumps([event | _LATER]).encode()) == expected


def test_readings_may_have_more_keys() -> None:
    reading = {"type": "logits", "logits": [0.5], "windows": 1, "input_tokens": 3}
    expected = reading_of(json.dumps(reading).encode())
    assert reading_of(json.dumps(reading | _LATER).encode()) == expected


def test_a_refusal_of_an_engine_that_names_no_option() -> None:
    event = {"type": "refused", "reason": "INVALID_OPTIONS", "message": "num_beams is wrong"}
    [refused] = events_of(json.dumps([event]).encode())
    assert refused == Refused("INVALID_OPTIONS", "num_beams is wrong", option="")


def test_manifests_may_have_more_keys() -> None:
    manifest = manifest_of()
    assert decode_manifest(json.dumps(json.loads(manifest.to_json()) | _LATER)) == manifest
