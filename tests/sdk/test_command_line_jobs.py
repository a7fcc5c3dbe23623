"""`seqway jobs`."""

import json
from pathlib import Path

import pytest
from seqway.v1 import job_pb2 as pb

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
    return seqway("jobs", "submit", lines).stdout.decode().strip()


def test_submitting_prints_the_id_alone(server: FakeServer, lines: Path) -> None:
    done = seqway("jobs", "submit", lines, "--to", "fr", "--label", "a=b", "--request-id", "r")
    assert (done.returncode, done.stdout) == (0, b"job0\n")
    assert b"3 lines" in done.stderr
    spec = server.jobs.specs[0]
    assert (spec.request_id, dict(spec.labels)) == ("r", {"a": "b"})
    assert spec.translate.target_language_code == "fr"
    assert server.jobs.data == lines.read_bytes()


def test_watching_tells_the_end_and_its_exit_code(server: FakeServer, lines: Path) -> None:
    done = seqway("jobs", "submit", lines, "--watch")
    assert (done.returncode, done.stdout) == (1, b"job0\n")
    said = done.stderr.decode()
    assert "2 of 3 lines succeeded, 1 failed" in said
    assert "seqway jobs errors job0" in said
    done = seqway("jobs", "submit", "-", "--watch", stdin=b'{"text": "good"}\n')
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
    seqway("jobs", "submit", lines, "--tenant", "one")
    monkeypatch.setenv("SEQWAY_TENANT", "two")
    seqway("jobs", "submit", lines)
    assert server.jobs.tenants == ["one", "two"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.jsonl"], "No such file"),
        (["/"], "Is a directory"),
        (["FILE", "--task", "classify", "--to", "fr"], "no use for it"),
        (["FILE", "--task", "translate", "--length", "short"], "no use for it"),
        (["FILE", "--task", "classify", "--beams", "2"], "no use for it"),
        (["FILE", "--task", "sing"], "'sing'"),
        (["FILE", "--deadline", "soon"], "no duration"),
        (["FILE", "--retention", "0d"], "no duration"),
        (["FILE", "--label", "x"], "NAME=VALUE"),
        (["FILE", "--input-format", "doc"], "'doc'"),
        (["FILE", "--glossary", "missing.tsv"], "missing.tsv"),
    ],
)
def test_wrong_usage_names_the_option(lines: Path, arguments: list[str], said: str) -> None:
    given = [str(lines) if one == "FILE" else one for one in arguments]
    assert said in " ".join(refused("jobs", "submit", *given, code=2).replace("│", "").split())


@pytest.mark.parametrize("name", ["a.md", "b.jsonl.bz2"])
def test_a_name_that_tells_no_format_is_refused_with_what_is_taken(
    server: FakeServer, lines: Path, name: str
) -> None:
    other = lines.rename(lines.with_name(name))
    said = refused("jobs", "submit", other, code=2).replace("│", "")
    assert "taken are JSON Lines (.jsonl), CSV (.csv), TSV (.tsv)" in " ".join(said.split())
    assert server.jobs.requests == []
    assert seqway("jobs", "submit", other, "--input-format", "jsonl").returncode == 0


def test_no_server_is_one_sentence(lines: Path) -> None:
    said = refused("jobs", "submit", lines, "--address", "127.0.0.1:9")
    assert len(said.splitlines()) == 1
    assert "no answer" in said
