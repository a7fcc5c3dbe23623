"""`seqway status`."""

import json
import signal
import subprocess
from pathlib import Path

import grpc
import pytest
from seqway import AsyncClient, Client, NotFoundError

from tests.sdk.command_line import COMMAND, refused, seqway
from tests.sdk.server import FakeServer
from tests.sdk.status import FakeFailure, error_info

pytestmark = pytest.mark.usefixtures("environment")

SUMMARIZATION = "seqway.v1.SummarizationService"


@pytest.fixture
def jobs(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"text": "one"}\n')
    for _ in range(3):
        assert seqway("jobs", "translate", path).returncode == 0


def test_a_server_that_serves(server: FakeServer, jobs: None) -> None:
    server.serve(SUMMARIZATION, serving=False)
    done = seqway("status")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [" ".join(line.split()) for line in done.stdout.decode().splitlines()]
    assert f"{server.address} serves" in lines
    assert "TranslationService serves" in lines
    assert "SummarizationService no model ready" in lines
    assert not any("ClassificationService" in line for line in lines)
    assert "en-fr translation fp32, int8" in lines
    assert "m2m translation m2m_fp32 not ready" in lines
    assert "queued 3" in lines


def test_json_tells_all(server: FakeServer, jobs: None) -> None:
    told = json.loads(seqway("status", "--json").stdout)
    assert (told["address"], told["serving"]) == (server.address, True)
    assert told["services"] == {"TranslationService": True, "ModelService": True}
    assert {model["name"]: model["ready"] for model in told["models"]}["en-fr_int8"]
    assert told["jobs"] == {"queued": 3} and not told["more_jobs"] and not told["problem"]


def test_a_server_that_does_not_serve_is_exit_code_1(server: FakeServer) -> None:
    server.serve("", serving=False)
    done = seqway("status")
    assert done.returncode == 1
    assert b"does not serve" in done.stdout and b"does not serve" in done.stderr
    assert seqway("status", "--json").returncode == 1


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQWAY_ADDRESS", "127.0.0.1:1")
    assert "Is the server at 127.0.0.1:1 up?" in refused("status", "--timeout", "5")


def test_a_server_without_batch_jobs_is_no_problem(server: FakeServer) -> None:
    server.jobs.failure = FakeFailure(grpc.StatusCode.UNIMPLEMENTED, "no such service")
    done = seqway("status", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["jobs"], told["problem"]) == (0, None, "")


def test_a_store_that_is_away_is_told_beside_the_rest(server: FakeServer) -> None:
    server.jobs.failure = FakeFailure(
        grpc.StatusCode.UNAVAILABLE, "the store is away", (error_info("STORE_UNAVAILABLE"),)
    )
    done = seqway("status", "--timeout", "20")
    assert done.returncode == 0
    assert b"Jobs: the store is away [STORE_UNAVAILABLE]" in done.stdout
    assert b"TranslationService" in done.stdout


def test_watching_goes_on_until_it_is_stopped(server: FakeServer) -> None:
    command = [*COMMAND, "status", "--watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["serving"] is True
        server.serve("", serving=False)
        assert json.loads(running.stdout.readline())["serving"] is False
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 130


async def test_both_clients_check_health(server: FakeServer) -> None:
    with Client(server.address) as client:
        assert client.check_health() and client.check_health("seqway.v1.ModelService")
        with pytest.raises(NotFoundError):
            client.check_health("nothing")
    server.serve("", serving=False)
    async with AsyncClient(server.address) as client:
        assert not await client.check_health()
