"""The Secrets that `create-secrets.sh` makes are those that the manifests mount."""

import base64
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.bundle import Bundle
from tests.deploy.rendering import KUBERNETES, overlay_objects, require_kubectl

_SCRIPT = KUBERNETES / "create-secrets.sh"
_KUBECTL = """#!/bin/sh
case "$*" in
  *"get secret"*) for one in $THERE; do case "$*" in *"$one") exit 0 ;; esac; done; exit 1 ;;
  *"create secret"*)
    echo --- >> {log}
    exec {kubectl} "$@" --dry-run=client --output=yaml >> {log} ;;
esac
"""


def run(folder: Path, *arguments: str, there: str = "") -> tuple[int, dict[str, dict[str, str]]]:
    """Runs the script with a `kubectl` that asks no cluster; `there` exist already.

    Returns its code, and the Secrets that it makes: name, keys, values.
    """
    program = folder / "kubectl"
    program.write_text(_KUBECTL.format(log=folder / "made", kubectl=require_kubectl()))
    program.chmod(0o755)
    variables = {"PATH": f"{folder}:/usr/bin:/bin", "THERE": there, "HOME": str(folder)}
    done = subprocess.run([_SCRIPT, *arguments], env=variables, check=False)
    made = folder / "made"
    found = yaml.safe_load_all(made.read_text()) if made.exists() else ()
    return done.returncode, {
        one["metadata"]["name"]: {
            key: base64.b64decode(value).decode() for key, value in one["data"].items()
        }
        for one in found
        if one
    }


def test_all_keys_that_pods_mount_are_made(tmp_path: Path) -> None:
    code, secrets = run(tmp_path)
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
    _, secrets = run(tmp_path, *arguments)
    password = secrets["seqway-redis"]["password"]
    assert len(password) == 64
    assert f">{password} " in secrets["seqway-redis"]["users.acl"]
    url = secrets["seqway-secrets"]["seqway_redis_url"]
    assert url == f"{scheme}://:{password}@seqway-redis:6379/0"
    assert len(secrets["seqway-secrets"]["seqway_api_key_pepper"]) == 64


def test_what_is_there_stays_and_a_half_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path, there="seqway-redis seqway-secrets") == (0, {})
    assert run(tmp_path, there="seqway-redis") == (1, {})
