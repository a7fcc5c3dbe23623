"""`client.jobs`, blocking and for asyncio."""

import io
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from seqway import (
    Client,
    DeadlineError,
    InvalidRequestError,
    JobState,
    LineStatus,
    NotFoundError,
    UnavailableError,
)
from seqway.tasks.job_input import JobLines, LineFormat, pieces
from seqway.tasks.job_order import JobHandling, job_order
from seqway.v1 import job_pb2 as pb

from tests.sdk.server import FakeServer
from tests.sdk.status import FakeFailure, error_info

LINES = [{"text": "one", "custom_id": "a"}, {"text": "bad"}, {"text": "three"}]


def test_a_job_from_creation_to_deletion(server: FakeServer) -> None:
    with Client(server.address, tenant="me") as client:
        job = client.jobs.translate(LINES, source="en", target="fr", labels={"a": "b"})
        assert (job.state, job.counts.total, job.counts.done) == (JobState.QUEUED, 3, 0)
        assert (job.source_language, job.labels) == ("en", {"a": "b"})
        assert job.options == {"generation": {"num_beams": 0}}
        ended = client.jobs.wait(job.id)
        assert ended.state is JobState.PARTIALLY_SUCCEEDED
        assert ended.state.ended
        assert (ended.counts.succeeded, ended.counts.failed, ended.counts.done) == (2, 1, 3)
        first, second, third = client.jobs.results(job.id)
        assert (first.index, first.custom_id, first.text, first.succeeded) == (0, "a", "ONE", True)
        assert (second.status, second.succeeded) == (LineStatus.FAILED, False)
        assert second.error is not None
        assert second.error.reason == "TEXT_TOO_LONG"
        assert third.model == "en-fr_int8"
        assert [one.index for one in client.jobs.results(job.id, which="errors")] == [1]
        assert [one.index for one in client.jobs.results(job.id, which="succeeded")] == [0, 2]
        assert client.jobs.resume(job.id).run == 2
        assert client.jobs.cancel(job.id).cancel_requested
        client.jobs.delete(job.id)
        with pytest.raises(NotFoundError):
            client.jobs.get(job.id)
    assert server.jobs.tenants == ["me"]


def test_every_task_has_its_arguments(server: FakeServer) -> None:
    with Client(server.address) as client:
        client.jobs.translate(["x"], source="en", target="fr", glossary={"a": "b"}, model="m")
        client.jobs.summarize(["x"], length="short")
        client.jobs.classify(["x"], top_k=2, threshold=0.5)
        client.jobs.ask([{"question": "q", "text": "t"}], top_k=3, question_field="q")
        with pytest.raises(TypeError, match="unexpected keyword argument 'sorce'"):
            client.jobs.translate(["x"], sorce="en", target="fr")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'source'"):
            client.jobs.translate(["x"], target="fr")  # type: ignore[call-arg]
    translate, summarize, classify, ask = server.jobs.specs
    assert translate.translate.source_language_code == "en"
    assert translate.translate.glossary[0].target_term == "b"
    assert translate.translate.model == "m"
    assert summarize.summarize.length
    assert (classify.classify.top_k, classify.classify.threshold) == (2, 0.5)
    assert (ask.answer_question.top_k, ask.input.question_field) == (3, "q")
    assert len({one.request_id for one in server.jobs.specs}) == 4


def test_the_lines_may_be_many_things(server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b'{"text": "a"}\n' * 50_000)
    inputs: list[tuple[JobLines, bytes]] = [
        (file, file.read_bytes()),
        (io.BytesIO(b'{"text": "a"}\n'), b'{"text": "a"}\n'),
        (["é", "b"], '{"text": "é"}\n{"text": "b"}\n'.encode()),
        (({"text": str(n)} for n in range(2)), b'{"text": "0"}\n{"text": "1"}\n'),
        ("s3://bucket/lines.csv", b""),
    ]
    with Client(server.address) as client:
        for lines, sent in inputs:
            client.jobs.summarize(lines)
            assert server.jobs.data == sent
    formats = [spec.input.format for spec in server.jobs.specs]
    assert formats == [pb.JOB_INPUT_FORMAT_JSON_LINES, *[pb.JOB_INPUT_FORMAT_UNSPECIFIED] * 4]
    assert server.jobs.specs[-1].input.uri == "s3://bucket/lines.csv"


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("a.csv", pb.JOB_INPUT_FORMAT_CSV),
        ("a.TSV.gz", pb.JOB_INPUT_FORMAT_TSV),
        ("a.txt.zst", pb.JOB_INPUT_FORMAT_TEXT),
        ("a.parquet", pb.JOB_INPUT_FORMAT_PARQUET),
        ("a.json", pb.JOB_INPUT_FORMAT_JSON_LINES),
        ("a.text", pb.JOB_INPUT_FORMAT_TEXT),
        ("a", pb.JOB_INPUT_FORMAT_JSON_LINES),
    ],
)
def test_the_name_of_a_file_tells_its_format(
    server: FakeServer, tmp_path: Path, name: str, format_: int
) -> None:
    (tmp_path / name).write_bytes(b"{}")
    with Client(server.address) as client:
        client.jobs.summarize(tmp_path / name)
    assert server.jobs.specs[0].input.format == format_


def test_what_is_no_input_is_refused(server: FakeServer, tmp_path: Path) -> None:
    with Client(server.address) as client:
        with pytest.raises(InvalidRequestError, match="not a URI"):
            client.jobs.summarize("a text")
        with pytest.raises(InvalidRequestError, match="priority"):
            client.jobs.summarize(["x"], priority="urgent")  # type: ignore[arg-type]
        with pytest.raises(InvalidRequestError, match="format"):
            client.jobs.summarize(["x"], format="doc")  # type: ignore[arg-type]
        assert server.jobs.specs == []
        with pytest.raises(FileNotFoundError):
            client.jobs.summarize(tmp_path / "missing")

        def lines() -> object:
            yield "one"
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            client.jobs.summarize(lines())  # type: ignore[arg-type]


def test_slow_lines_are_sent_before_a_piece_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server ends an upload that stands still."""
    assert len(list(pieces(["a", "b", "c"], ""))) == 1
    monkeypatch.setattr("seqway.tasks.job_input._PIECE_SECONDS", 0.0)
    sent = list(pieces(["a", "b", "c"], ""))
    assert sent == [b'{"text": "a"}\n', b'{"text": "b"}\n', b'{"text": "c"}\n']


@pytest.mark.parametrize(("given", "sent"), [(None, 86_400.0), (5.0, 5.0)])
def test_an_upload_has_a_deadline(given: float | None, sent: float) -> None:
    """Without one a server would end it after ten minutes."""
    order = job_order(pb.JobSpec(), ["a"], JobHandling(), LineFormat(), given)
    assert order.timeout == sent


def test_times_are_absolute_or_from_now(server: FakeServer) -> None:
    when = datetime(2030, 1, 1, tzinfo=UTC)
    with Client(server.address) as client:
        client.jobs.summarize(["x"], deadline=when, retention=timedelta(days=2), priority="high")
        client.jobs.summarize(["x"], deadline=timedelta(hours=1))
    first, second = server.jobs.specs
    assert first.deadline.ToDatetime(UTC) == when
    assert first.retention.seconds == 2 * 86400
    assert first.priority == pb.JOB_PRIORITY_HIGH
    assert 3500 < second.deadline.seconds - time.time() <= 3600


def test_streams_go_on_when_a_server_is_replaced(server: FakeServer) -> None:
    with Client(server.address) as client:
        job = client.jobs.translate(["x"] * 7, source="en", target="fr")
        server.jobs.breaks = 3
        seen = [one.counts.pending for one in client.jobs.watch(job.id)]
        assert seen == sorted(set(seen), reverse=True)
        assert seen[-1] == 0
        server.jobs.breaks = 3
        assert [one.index for one in client.jobs.results(job.id)] == list(range(7))


def test_a_token_goes_on_behind_what_was_read(server: FakeServer) -> None:
    with Client(server.address) as client:
        job = client.jobs.translate(["x"] * 5, source="en", target="fr")
        with client.jobs.results(job.id) as stream:
            assert [next(stream).index, next(stream).index] == [0, 1]
            token = stream.resume_token
            assert next(stream).index == 2
            assert stream.resume_token == token  # the message is not read whole
        rest = client.jobs.results(job.id, resume_token=token)
        assert [one.index for one in rest] == [2, 3, 4]


def test_patience_ends() -> None:
    with Client("127.0.0.1:9") as client:
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            list(client.jobs.results("job", patience=0.5))
        assert 0.5 < time.monotonic() - began < 20


def test_other_failures_are_raised_at_once(server: FakeServer) -> None:
    with Client(server.address) as client:
        with pytest.raises(NotFoundError) as caught:
            list(client.jobs.results("nope"))
        assert caught.value.reason == "UNKNOWN_JOB"
        job = client.jobs.translate(["x"] * 100, source="en", target="fr")
        server.jobs.pause = 0.2
        with pytest.raises(DeadlineError):
            client.jobs.wait(job.id, timeout=0.5)


def test_a_conflict_is_a_request_that_cannot_be_served(server: FakeServer) -> None:
    details = (error_info("REQUEST_ID_CONFLICT"),)
    server.jobs.failure = FakeFailure(grpc.StatusCode.ALREADY_EXISTS, "other content", details)
    with Client(server.address) as client, pytest.raises(InvalidRequestError) as caught:
        client.jobs.translate(["x"], source="en", target="fr", request_id="a")
    assert caught.value.reason == "REQUEST_ID_CONFLICT"


def test_all_pages_are_listed(server: FakeServer) -> None:
    with Client(server.address) as client:
        ids = [client.jobs.summarize(["x"]).id for _ in range(5)]
        assert [one.id for one in client.jobs.list()] == ids[::-1]
        list(client.jobs.list(states=[JobState.FAILED], task="summarization", labels={"a": "b"}))
    request = server.jobs.requests[-1]
    assert isinstance(request, pb.ListJobsRequest)
    assert list(request.states) == [pb.JOB_STATE_FAILED]
    assert dict(request.labels) == {"a": "b"}


@pytest.mark.parametrize(
    "name", ["a.md", "b.srt", "c.xlsx", "d.pdf", "e.docx", "f.jsonl.bz2", "g.csv.bak", "h.dat.gz"]
)
def test_a_name_that_tells_no_format_is_refused_with_what_is_supported(
    server: FakeServer, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text('{"text": "a"}\n')
    with Client(server.address) as client:
        with pytest.raises(
            InvalidRequestError, match=r"supported are JSON Lines \(.jsonl\)"
        ) as caught:
            client.jobs.summarize(tmp_path / name)
        assert (caught.value.reason, caught.value.field) == ("INVALID_INPUT", "format")
        assert server.jobs.requests == []
        client.jobs.summarize(tmp_path / name, format="jsonl")
