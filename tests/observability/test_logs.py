"""What the processes log of calls and batches: ids, and never a text."""

import json
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from seqway import Client, GenerationOptions, JobState, SeqwayError
from seqway.v1 import model_pb2, model_pb2_grpc

from tests.observability.conftest import CLASSIFIER, TRANSLATOR, TracedStack, ids
from tests.observability.test_tracing import client_call

# Words that no program says, each in a place of its own.
MARKER = "zyxomarker"
PATIENCE = 20.0
# More than the model makes: the engine refuses it.
REFUSED = GenerationOptions(min_new_tokens=3000)


@pytest.fixture
def marked(client: Client) -> str:
    """Calls that go well and calls that fail in every process, all with the marker; a job's id."""
    text = f"The {MARKER} package contains documentation."
    client.translate(text, source="en", target="fr", model=TRANSLATOR)
    list(client.stream_translate(text, source="en", target="fr"))
    client.classify(text, model=CLASSIFIER)
    client.translate(
        f"<b>{text}</b>",
        source="en",
        target="fr",
        mime_type="text/html",
        glossary={f"{MARKER} package": MARKER},
        options=GenerationOptions(target_prefix=MARKER),
    )
    for failing in (
        lambda: client.translate(text, source="en", target="de"),
        lambda: client.translate(text, source="en", target="fr", model=MARKER),
        lambda: client.translate(text, source="en", target="fr", timeout=0.001),
        lambda: client.translate(text, source="en", target="fr", options=REFUSED),
        lambda: client.translate(f"<b {text}", source="en", target="fr", mime_type=MARKER),
        lambda: client.jobs.translate([f"{{{MARKER}"], source="en", target="de"),
    ):
        with pytest.raises(SeqwayError):
            failing()
    lines = [text, "Another line.", text]
    refused = client.jobs.translate(lines, source="en", target="fr", options=REFUSED)
    assert client.jobs.wait(refused.id, timeout=60).state is JobState.FAILED
    job = client.jobs.translate(lines, source="en", target="fr", model=TRANSLATOR)
    assert client.jobs.wait(job.id, timeout=60).state is JobState.SUCCEEDED
    return job.id


def lines_of(log: str) -> Iterator[dict[str, Any]]:
    for line in log.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def wait_for_line(stack: TracedStack, process: str, **wanted: Any) -> dict[str, Any]:
    """The first line that a process logs with these values."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for line in lines_of(stack.logs()[process]):
            if wanted.items() <= line.items():
                return line
        assert time.monotonic() < deadline, f"{process} has logged nothing with {wanted}"
        time.sleep(0.05)


def test_no_process_logs_a_text_nor_exports_one(stack: TracedStack, marked: str) -> None:
    wait_for_line(stack, "worker", job_id=marked, event="a chunk is done")
    logs = stack.logs()
    assert {"gateway", "worker", "controller", "triton"} <= logs.keys()
    for process, log in logs.items():
        guilty = [line for line in log.splitlines() if MARKER in line.lower()]
        assert guilty == [], process
        assert log, process
    spans = [repr(span) for span in list(stack.collector.spans)]
    assert spans
    assert not [span for span in spans if MARKER in span.lower()]


def test_the_lines_of_a_call_and_a_job_carry_their_ids(
    stack: TracedStack, client: Client, exporter: InMemorySpanExporter
) -> None:
    job = client.jobs.translate(["A line."], source="en", target="fr", request_id="once")
    client.jobs.wait(job.id, timeout=60)
    trace_id, _ = ids(client_call(exporter, "CreateJob"))
    call = wait_for_line(
        stack, "gateway", method="/seqway.v1.JobService/CreateJob", trace_id=trace_id
    )
    assert call["code"] == "OK"
    assert call["job_id"] == job.id
    assert call["tenant"] == "default"
    assert len(call["span_id"]) == 16
    assert len(call["request_id"]) == 32
    chunk = wait_for_line(stack, "worker", event="a chunk is done", job_id=job.id)
    assert chunk["trace_id"] == trace_id
    assert (chunk["run"], chunk["chunk"]) == (1, 0)
    assert (chunk["tenant"], chunk["request_id"]) == ("default", "once")
    end = wait_for_line(stack, "controller", event="a job has ended", job_id=job.id)
    assert end["trace_id"] == trace_id


def test_a_call_keeps_the_request_id_of_its_caller(stack: TracedStack) -> None:
    with grpc.insecure_channel(stack.address) as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        metadata = (("x-request-id", "mine-1"),)
        stub.ListModels(model_pb2.ListModelsRequest(), metadata=metadata, timeout=60)
    assert wait_for_line(stack, "gateway", request_id="mine-1")["code"] == "OK"
