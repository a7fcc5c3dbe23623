"""The container of Redis as the manifests describe it, run on this machine."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.bundle import Bundle, Container
from tests.services.redis_server import free_port

PASSWORD = "a-long-password-of-hexadecimal-digits"


@dataclass(frozen=True)
class RedisPod:
    """A running server, with the container's files below `folder`."""

    port: int
    folder: Path
    container: Container

    @property
    def url(self) -> str:
        """For clients, with the password."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def probe(self, name: str) -> "subprocess.CompletedProcess[str]":
        """Runs a probe of the container, at the port of this machine."""
        command = _placed(self.container.spec[name]["exec"]["command"], self.folder)
        return subprocess.run(
            [*command, "-p", str(self.port)],
            env={"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def running_redis(bundle: Bundle, folder: Path, server: str, cli: str) -> Iterator[RedisPod]:
    """Starts the container's command with the files that it mounts; certificates are there.

    `cli` is a shell command line for the server's client.
    """
    container = next(one for one in bundle.containers if one.spec["name"] == "redis")
    _mount(bundle, container, folder, cli)
    port = free_port()
    command = [*container.spec["command"], *container.spec.get("args", [])]
    arguments = [one.replace("6379", str(port)) for one in _placed(command[1:], folder)]
    if "args" not in container.spec:
        arguments += ["--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([server, *arguments], stdout=log, stderr=log)
    try:
        yield RedisPod(port, folder, container)
    finally:
        process.kill()
        process.wait()


def _mount(bundle: Bundle, container: Container, folder: Path, cli: str) -> None:
    configuration = container.pod.volume("configuration")["configMap"]["name"]
    found = bundle.find("ConfigMap", configuration)
    assert found is not None
    for name in ("data", "etc/valkey", "run/secrets/redis", "bin"):
        (folder / name).mkdir(parents=True)
    for name, text in found["data"].items():
        (folder / "etc/valkey" / name).write_text(_placed([text], folder)[0])
    (folder / "run/secrets/redis/password").write_text(PASSWORD)
    acl = f"user default on >{PASSWORD} ~* &* +@all\n"
    (folder / "run/secrets/redis/users.acl").write_text(acl)
    program = folder / "bin/valkey-cli"
    program.write_text(f'#!/bin/sh\n{cli} "$@"\n')
    program.chmod(0o755)


def _placed(words: Sequence[str], folder: Path) -> list[str]:
    """Paths of the container as they are on this machine."""
    for own in ("/etc/valkey", "/run/secrets/redis", "/run/tls", "dir /data"):
        here = f"dir {folder}/data" if own.startswith("dir") else f"{folder}{own}"
        words = [one.replace(own, here) for one in words]
    return list(words)
