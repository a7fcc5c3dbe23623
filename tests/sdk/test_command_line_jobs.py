"""`seqway jobs`."""

import json
from pathlib import Path

import pytest
from seqway.v1 import job_pb2 as pb
from seqway.v1.summarization_pb2 import SUMMARY_LENGTH_SHORT

from tests.sdk.command_line import refused, seqway
from tests.sdk.server import FakeServer

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"text": "one", "custom_id": "a"}\n{"text": "bad"}\n{"text": "x\\ny"}\n')
    return path


@pytest.fixture
def job(lines: Path) -> str:
    return seqway("jobs", "translate", lines).stdout.decode().strip()


def test_submitting_prints_the_id_alone(server: FakeServer, lines: Path) -> None:
    done = seqway("jobs", "translate", lines, "--to", "fr", "--label", "a=b", "--request-id", "r")
    assert (done.returncode, done.stdout) == (0, b"job0\n")
    assert b"3 lines" in done.stderr
    spec = server.jobs.specs[0]
    assert (spec.request_id, dict(spec.labels)) == ("r", {"a": "b"})
    assert spec.translate.target_language_code == "fr"
    assert server.jobs.data == lines.read_bytes()


def test_each_task_is_a_command(server: FakeServer, lines: Path) -> None:
    short = ("--length", "short", "--beams", "2")
    assert seqway("jobs", "summarize", lines, *short).returncode == 0
    assert seqway("jobs", "classify", lines, "-k", "1", "--threshold", "0.5").returncode == 0
    fields = ("--question-field", "q", "--text-field", "t")
    assert seqway("jobs", "ask", lines, "--answers", "3", *fields).returncode == 0
    summarize, classify, ask = server.jobs.specs
    assert summarize.summarize.length == SUMMARY_LENGTH_SHORT
    assert summarize.summarize.options.num_beams == 2
    assert (classify.classify.top_k, classify.classify.threshold) == (1, 0.5)
    assert (ask.answer_question.top_k, ask.input.question_field, ask.input.text_field) == (
        3,
        "q",
        "t",
    )


def test_watching_tells_the_end_and_its_exit_code(server: FakeServer, lines: Path) -> None:
    done = seqway("jobs", "translate", lines, "--watch")
    assert (done.returncode, done.stdout) == (1, b"job0\n")
    said = done.stderr.decode()
    assert "2 of 3 lines succeeded, 1 failed" in said
    assert "seqway jobs errors job0" in said
    done = seqway("jobs", "translate", "-", "--watch", stdin=b'{"text": "good"}\n')
    assert done.returncode == 0
    assert b"1 of 1 lines succeeded" in done.stderr
    assert seqway("jobs", "watch", "job1").returncode == 0


def test_results_come_as_lines_of_json(job: str, tmp_path: Path) -> None:
    seqway("jobs", "watch", job)
    printed = seqway("jobs", "results", job).stdout.decode().splitlines()
    first, second, _ = map(json.loads, printed)
    assert (first["index"], first["custom_id"], first["text"]) == (0, "a", "ONE")
    assert (second["status"], second["error"]["reason"]) == ("FAILED", "TEXT_TOO_LONG")
    assert "text" not in second
    plain = seqway("jobs", "results", job, "--text").stdout.decode()
    assert plain == "ONE\n\nX Y\n"
    file = tmp_path / "out.jsonl"
    assert seqway("jobs", "results", job, "--output", file).stdout == b""
    assert file.read_text().splitlines() == printed
    assert "exists already" in refused("jobs", "results", job, "--output", file, code=2)
    assert list(tmp_path.glob("*.part")) == []


def test_results_that_are_not_there_yet_are_told(job: str) -> None:
    done = seqway("jobs", "results", job)
    assert done.stdout == b""
    assert b"0 of 3 lines are done" in done.stderr
    assert len(seqway("jobs", "results", job, "--follow").stdout.splitlines()) == 3


def test_errors_name_the_line_and_the_reason(job: str) -> None:
    seqway("jobs", "watch", job)
    said = seqway("jobs", "errors", job).stdout.decode()
    assert said == "line 2: the text is too long [TEXT_TOO_LONG]\n"
    assert json.loads(seqway("jobs", "errors", job, "--json").stdout)["index"] == 1


def test_jobs_are_listed_and_shown(server: FakeServer, job: str) -> None:
    listed = seqway("jobs", "list", "--state", "queued", "--label", "a=b").stdout.decode()
    assert job in listed
    assert "translation en-fr" in listed
    request = server.jobs.requests[-1]
    assert isinstance(request, pb.ListJobsRequest)
    assert list(request.states) == [pb.JOB_STATE_QUEUED]
    assert "0/3" in listed
    assert "Request id" in seqway("jobs", "show", job).stdout.decode()
    assert json.loads(seqway("jobs", "show", job, "--json").stdout)["counts"]["pending"] == 3
    assert json.loads(seqway("jobs", "list", "--json").stdout)[0]["id"] == job


def test_jobs_are_cancelled_resumed_and_deleted(server: FakeServer, job: str) -> None:
    assert b"0 of 3" not in seqway("jobs", "cancel", job).stdout
    assert server.jobs.jobs[job].state == pb.JOB_STATE_CANCELLED
    assert b"run 2" in seqway("jobs", "resume", job).stderr
    assert seqway("jobs", "delete", job).returncode == 0
    said = refused("jobs", "show", job)
    assert "[UNKNOWN_JOB]" in said
    assert "seqway jobs list" in said


def test_the_tenant_is_an_option_and_a_variable(
    server: FakeServer, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seqway("jobs", "translate", lines, "--tenant", "one")
    monkeypatch.setenv("SEQWAY_TENANT", "two")
    seqway("jobs", "translate", lines)
    assert server.jobs.tenants == ["one", "two"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["translate", "missing.jsonl"], "No such file"),
        (["translate", "/"], "Is a directory"),
        (["classify", "FILE", "--to", "fr"], "No such option: --to"),
        (["translate", "FILE", "--length", "short"], "No such option: --length"),
        (["classify", "FILE", "--beams", "2"], "No such option: --beams"),
        (["sing", "FILE"], "'sing'"),
        (["translate", "FILE", "--deadline", "soon"], "not a duration"),
        (["translate", "FILE", "--retention", "0d"], "not a duration"),
        (["translate", "FILE", "--label", "x"], "NAME=VALUE"),
        (["translate", "FILE", "--input-format", "doc"], "'doc'"),
        (["translate", "FILE", "--glossary", "missing.tsv"], "missing.tsv"),
    ],
)
def test_wrong_usage_names_the_option(lines: Path, arguments: list[str], said: str) -> None:
    given = [str(lines) if one == "FILE" else one for one in arguments]
    assert said in " ".join(refused("jobs", *given, code=2).replace("│", "").split())


@pytest.mark.parametrize("name", ["a.md", "b.jsonl.bz2"])
def test_a_name_that_tells_no_format_is_refused_with_what_is_supported(
    server: FakeServer, lines: Path, name: str
) -> None:
    other = lines.rename(lines.with_name(name))
    said = refused("jobs", "translate", other, code=2).replace("│", "")
    assert "supported are JSON Lines (.jsonl), CSV (.csv), TSV (.tsv)" in " ".join(said.split())
    assert server.jobs.requests == []
    assert seqway("jobs", "translate", other, "--input-format", "jsonl").returncode == 0


def test_no_server_is_one_sentence(lines: Path) -> None:
    said = refused("jobs", "translate", lines, "--address", "127.0.0.1:9")
    assert len(said.splitlines()) == 1
    assert "no answer" in said
