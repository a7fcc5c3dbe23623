"""Settings exist, and their values can be read."""

import os
import tempfile
from pathlib import Path
from unittest import mock

from services.foundation.environment import (
    SECRETS_VARIABLE,
    InvalidSettingsError,
    ProcessSettings,
    fields_of,
    read_settings,
)
from services.gateway.settings import GatewaySettings
from tests.deploy.bundle import Bundle, Container
from workers.settings import WorkerSettings

_PREFIX = "SEQWAY_"
_CLASSES: dict[str, type[ProcessSettings]] = {
    "gateway": GatewaySettings,
    "worker": WorkerSettings,
    "controller": WorkerSettings,
}
# Read by both kinds of processes; each passes over what only the other knows.
_SHARED = "seqway-shared"


def _known(settings: type[ProcessSettings]) -> set[str]:
    return {f"{_PREFIX}{name.upper()}" for name in fields_of(settings)} | {SECRETS_VARIABLE}


def exist(bundle: Bundle) -> list[str]:
    """Each variable of ours is a setting of the process that is given it."""
    everything = set().union(*(_known(one) for one in _CLASSES.values()))
    found = []
    for container in bundle.containers:
        known = _known(_CLASSES[container.spec["name"]]) if _is_ours(container) else set()
        for name in _variables(bundle, container):
            if name.startswith(_PREFIX) and name not in known:
                found.append(f"{container.title}: {name} is no setting of it")
    for one in bundle.of("ConfigMap"):
        for name in one.get("data", {}):
            if name.startswith(_PREFIX) and name not in everything:
                found.append(f"ConfigMap {one['metadata']['name']}: {name} is no setting")
    return found


def _variables(bundle: Bundle, container: Container) -> list[str]:
    """The names of its variables, without those of the ConfigMap that all processes share."""
    names = list(bundle.environment(container))
    shared = next(
        (one for one in bundle.of("ConfigMap") if one["metadata"]["name"].startswith(_SHARED)), {}
    )
    return [name for name in names if name not in shared.get("data", {})]


def _is_ours(container: Container) -> bool:
    return container.spec["name"] in _CLASSES and not container.is_init


def can_be_read(bundle: Bundle) -> list[str]:
    """The processes would start with the settings, secrets and files that they are given."""
    found = []
    for container in filter(_is_ours, bundle.containers):
        with tempfile.TemporaryDirectory() as root:
            values = _laid_out(bundle, container, Path(root))
            with mock.patch.dict(os.environ, values, clear=True):
                try:
                    read_settings(_CLASSES[container.spec["name"]])
                except InvalidSettingsError as error:
                    found.append(f"{container.title}: {error}")
    return found


def _laid_out(bundle: Bundle, container: Container, root: Path) -> dict[str, str]:
    """The variables of a container, with its secrets and the files they name below `root`."""
    values = bundle.environment(container)
    scheme = "rediss" if values.get("SEQWAY_REDIS_TLS_CA") else "redis"
    secrets = {
        "seqway_redis_url": f"{scheme}://:x@seqway-redis:6379/0",
        "seqway_api_key_pepper": "0" * 64,
    }
    for mount in container.spec.get("volumeMounts", []):
        folder = root / mount["mountPath"].lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        volume = container.pod.volume(mount["name"])
        for item in volume.get("secret", {}).get("items", []):
            (folder / item["path"]).write_text(secrets[item["key"]])
    for name, value in values.items():
        if name.startswith(_PREFIX) and value.startswith("/"):
            values[name] = str(root / value.lstrip("/"))
            if (root / value.lstrip("/")).parent.is_dir() and name != SECRETS_VARIABLE:
                Path(values[name]).touch()
    return values


def agree_with_ports(bundle: Bundle) -> list[str]:
    """A port that a setting names is a port of the container."""
    found = []
    for container in filter(_is_ours, bundle.containers):
        for name, value in bundle.environment(container).items():
            named = name.startswith(_PREFIX) and name.endswith("_PORT") and value != "0"
            if named and not (value.isdecimal() and container.port(int(value))):
                found.append(f"{container.title}: {name} is {value}, which is no port of it")
    return found


def name_files_that_are_mounted(bundle: Bundle) -> list[str]:
    """A path that a setting names is on a volume: nothing else can be written or is brought."""
    found = []
    for container in filter(_is_ours, bundle.containers):
        mounts = [one["mountPath"] for one in container.spec.get("volumeMounts", [])]
        for name, value in bundle.environment(container).items():
            path = value.removeprefix("file://")
            named = name.startswith(_PREFIX) and path.startswith("/")
            if named and not any(f"{path}/".startswith(f"{mount}/") for mount in mounts):
                found.append(f"{container.title}: {name} is {value}, where nothing is mounted")
    return found


def keep_workers_busy(bundle: Bundle) -> list[str]:
    """As many chunks are out as two for each process of the most workers there can be."""
    found = []
    for container in bundle.containers:
        if container.spec["name"] != "worker":
            continue
        arguments = [one for one in container.spec["args"] if one.startswith("--concurrency=")]
        processes = int(arguments[0].partition("=")[2]) * _most(bundle, container)
        window = int(bundle.environment(container)["SEQWAY_CHUNK_WINDOW"])
        if window < 2 * processes:
            found.append(
                f"{container.title}: SEQWAY_CHUNK_WINDOW is {window}, and there may be "
                f"{processes} processes, which need {2 * processes}"
            )
    return found


def _most(bundle: Bundle, container: Container) -> int:
    """The most pods of the container's owner."""
    owner = container.pod.owner
    for scaled in bundle.of("ScaledObject"):
        if scaled["spec"]["scaleTargetRef"]["name"] == owner["metadata"]["name"]:
            return int(scaled["spec"]["maxReplicaCount"])
    return int(owner["spec"].get("replicas", 1))


POLICIES = (
    exist,
    can_be_read,
    agree_with_ports,
    name_files_that_are_mounted,
    keep_workers_busy,
)
