"""Triton from its image for processors, built in a folder: probes, control calls, TLS."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc as triton_grpc  # type: ignore[import-untyped]
import trustme

from deploy.local.settings import StackSettings
from engine.native.build import compilers
from tests.deploy.processes import PATIENCE, arguments_of, running, wait_until
from tests.deploy.scratch import Image
from tests.services.redis_server import free_port

_MODEL = "en-fr_int8"
_SHARED = Path("/dev/shm")


@dataclass(frozen=True)
class Triton:
    """An image of Triton with one model, and free ports for it."""

    image: Image
    ports: dict[str, int]

    @property
    def flags(self) -> list[str]:
        """The ports as Triton takes them."""
        return [f"--{name}-port={port}" for name, port in self.ports.items()]

    def probe(self) -> "subprocess.CompletedProcess[str]":
        """Runs the image's health check, at these ports."""
        flags = [one for one in self.flags if not one.startswith("--grpc")]
        return self.image.run(*self.image.words["HEALTHCHECK"], *flags)

    def is_ready(self) -> bool:
        """Whether the health check is content."""
        return self.probe().returncode == 0


@pytest.fixture(scope="module")
def triton(builder: Callable[[str], Image]) -> Iterator[Triton]:
    exported = StackSettings().model_repository / _MODEL
    if not (exported / "config.pbtxt").exists():
        if os.environ.get("CI") == "true":
            pytest.fail("no model is exported: run `make models`")
        pytest.skip("no model is exported: run `make models`")
    if next(compilers(), None) is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no C++ compiler")
        pytest.skip("there is no C++ compiler")
    image = builder("triton-cpu")
    (image.folder / "models").mkdir()
    (image.folder / "models" / _MODEL).symlink_to(exported)
    others = set(_SHARED.glob("seqway-pod_*"))
    yield Triton(image, {name: free_port() for name in ("http", "grpc", "metrics")})
    for left in set(_SHARED.glob("seqway-pod_*")) - others:
        left.unlink(missing_ok=True)


def test_the_native_library_can_be_loaded(triton: Triton) -> None:
    program = "from engine.native.library import backends; print(backends()[-1])"
    done = triton.image.run("python3", "-c", program)
    assert (done.returncode, done.stdout) == (0, "generic\n"), done.stderr


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_triton_serves_until_a_model_is_dead_or_hangs(
    triton: Triton, fault: signal.Signals
) -> None:
    with running(triton.image, *arguments_of("triton"), *triton.flags) as process:
        wait_until(triton.is_ready, triton.image, process)
        (stub,) = _children(process.pid)
        os.kill(stub, fault)
        dead = triton.probe()
        os.kill(stub, signal.SIGKILL)
        assert dead.returncode == 1
        assert _MODEL in dead.stderr
    gone = triton.probe()
    assert (gone.returncode, "does not answer" in gone.stderr) == (1, True)


def test_a_model_that_pauses_is_got_over_by_the_container(triton: Triton) -> None:
    """Triton, which gives it up after a second, then fails its probes or ends: both start it anew.

    The next life finds what the one before has left in shared memory.
    """
    arguments = [*arguments_of("triton"), *triton.flags]
    with running(triton.image, *arguments) as process:
        wait_until(triton.is_ready, triton.image, process)
        (stub,) = _children(process.pid)
        os.kill(stub, signal.SIGSTOP)
        paused = triton.probe()
        os.kill(stub, signal.SIGCONT)
        assert paused.returncode == 1
        _wait_for(lambda: process.poll() is not None or triton.is_ready())
        with suppress(ProcessLookupError):
            os.kill(stub, signal.SIGKILL)
    with running(triton.image, *arguments) as process:
        wait_until(triton.is_ready, triton.image, process)


def test_a_model_that_cannot_be_loaded_takes_no_other_down(triton: Triton) -> None:
    broken = triton.image.folder / "models" / "broken_fp32"
    shutil.copytree(StackSettings().model_repository / _MODEL, broken)
    try:
        config = (broken / "config.pbtxt").read_text().replace(_MODEL, broken.name)
        (broken / "config.pbtxt").write_text(config)
        for name in ("decoder_step.onnx", "weights.safetensors"):
            (broken / "1" / name).write_bytes(b"no model")
        with running(triton.image, *arguments_of("triton"), *triton.flags) as process:
            wait_until(triton.is_ready, triton.image, process)
            told = triton.probe()
            assert told.returncode == 0
            assert told.stderr.startswith("broken_fp32 can't be loaded: ")
    finally:
        shutil.rmtree(broken)


def test_nobody_loads_models_or_changes_the_log_of_triton(triton: Triton) -> None:
    with running(triton.image, *arguments_of("triton"), *triton.flags) as process:
        wait_until(triton.is_ready, triton.image, process)
        client = triton_grpc.InferenceServerClient(f"127.0.0.1:{triton.ports['grpc']}")
        assert client.get_model_repository_index().models
        for call in (
            lambda: client.load_model(_MODEL),
            lambda: client.unload_model(_MODEL),
            client.get_log_settings,
            client.get_trace_settings,
            client.get_system_shared_memory_status,
        ):
            with pytest.raises(
                triton_grpc.InferenceServerException, match=r"not allowed|restricted"
            ):
                call()
        client.close()


def test_triton_with_mtls_takes_no_plain_text_and_no_stranger(triton: Triton) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    folder = triton.image.folder / "run" / "tls"
    folder.mkdir(parents=True)
    authority.cert_pem.write_to_path(folder / "ca.crt")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    files = {name: str(folder / name) for name in ("ca.crt", "tls.key", "tls.crt")}
    own = {"private_key": files["tls.key"], "certificate_chain": files["tls.crt"]}
    address = f"127.0.0.1:{triton.ports['grpc']}"
    arguments = arguments_of("triton", ["mtls"])
    with running(triton.image, *arguments, *triton.flags) as process:
        wait_until(triton.is_ready, triton.image, process)
        for options in ({}, {"ssl": True, "root_certificates": files["ca.crt"]}):
            client = triton_grpc.InferenceServerClient(address, **options)
            with pytest.raises(triton_grpc.InferenceServerException, match="UNAVAILABLE"):
                client.is_server_live()
            client.close()
        known = {"ssl": True, "root_certificates": files["ca.crt"], **own}
        client = triton_grpc.InferenceServerClient(address, **known)
        assert client.is_server_live()
        client.close()


def test_triton_listens_at_ipv6_addresses(triton: Triton) -> None:
    with running(triton.image, *arguments_of("triton", ["ipv6"]), *triton.flags) as process:
        wait_until(triton.is_ready, triton.image, process)
        for name in ("grpc", "metrics"):
            with socket.create_connection(("::1", triton.ports[name]), timeout=10):
                pass


def _wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]
