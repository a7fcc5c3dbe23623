"""The Secrets that `create-secrets.sh` makes are those that the manifests mount."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy.bundle import Bundle
from tests.deploy.rendering import KUBERNETES, overlay_objects

_SCRIPT = KUBERNETES / "create-secrets.sh"
_KUBECTL = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  *"get secret"*) for one in $THERE; do case "$*" in *"$one") exit 0 ;; esac; done; exit 1 ;;
esac
"""


def run(folder: Path, *arguments: str, there: str = "") -> tuple[int, list[str]]:
    """Runs the script with a `kubectl` that notes what it is told; `there` exist already."""
    log = folder / "log"
    program = folder / "kubectl"
    program.write_text(_KUBECTL.format(log=log))
    program.chmod(0o755)
    variables = {"PATH": f"{folder}:/usr/bin:/bin", "THERE": there}
    done = subprocess.run([_SCRIPT, *arguments], env=variables, check=False)
    return done.returncode, log.read_text().splitlines()


def made(lines: list[str]) -> dict[str, dict[str, str]]:
    """The Secrets of the calls that create some: name, keys, values."""
    found = {}
    for line in lines:
        head, *literals = line.split("--from-literal=")
        if " create secret generic " in head:
            pairs = (one.strip().partition("=") for one in literals)
            found[head.split()[-1]] = {key: value for key, _, value in pairs}
    return found


def test_all_keys_that_pods_mount_are_made(tmp_path: Path) -> None:
    code, lines = run(tmp_path)
    secrets = made(lines)
    assert code == 0
    for pod in Bundle(overlay_objects("gpu-l4")).pods:
        for volume in pod.spec.get("volumes", []):
            wanted = volume.get("secret", {})
            keys = {one["key"] for one in wanted.get("items", [])}
            if wanted.get("secretName") in secrets:
                assert keys <= secrets[wanted["secretName"]].keys()
    assert secrets.keys() == {"seqway-redis", "seqway-secrets"}
    assert secrets["seqway-redis"].keys() == {"password", "users.acl"}


@pytest.mark.parametrize(("arguments", "scheme"), [((), "redis"), (("rediss",), "rediss")])
def test_all_sides_have_one_long_password(
    tmp_path: Path, arguments: tuple[str, ...], scheme: str
) -> None:
    _, lines = run(tmp_path, *arguments)
    secrets = made(lines)
    password = secrets["seqway-redis"]["password"]
    assert len(password) == 64
    assert f">{password} " in secrets["seqway-redis"]["users.acl"]
    url = secrets["seqway-secrets"]["seqway_redis_url"]
    assert url == f"{scheme}://:{password}@seqway-redis:6379/0"
    assert len(secrets["seqway-secrets"]["seqway_api_key_pepper"]) == 64


def test_what_is_there_stays_and_a_half_is_refused(tmp_path: Path) -> None:
    code, lines = run(tmp_path, there="seqway-redis seqway-secrets")
    assert (code, made(lines)) == (0, {})
    code, lines = run(tmp_path, there="seqway-redis")
    assert (code, made(lines)) == (1, {})
