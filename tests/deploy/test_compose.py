"""The compose file names what there is, and its containers have as few rights as in a cluster."""

from typing import Any

import pytest
import yaml

from services.foundation.environment import ProcessSettings, fields_of
from services.gateway.settings import GatewaySettings
from tests.deploy.bundle import Bundle
from tests.deploy.rendering import ROOT, overlay_objects
from tests.deploy.scratch import cache_folder
from workers.settings import WorkerSettings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
GPU: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.gpu.yaml").read_text())
_CLASSES: dict[str, type[ProcessSettings]] = {
    "gateway": GatewaySettings,
    "worker": WorkerSettings,
    "controller": WorkerSettings,
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_few_rights_and_bounds(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service


@pytest.mark.parametrize("name", _CLASSES)
def test_the_settings_of_a_service_exist(name: str) -> None:
    known = {f"SEQWAY_{one.upper()}" for one in fields_of(_CLASSES[name])}
    assert set(SERVICES[name]["environment"]) <= known


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_names_what_there_is(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    if "build" in service:
        dockerfile = ROOT / service["build"]["dockerfile"]
        assert dockerfile.exists()
        assert service["image"].startswith(f"seqway/{dockerfile.stem}:")
    named = (one.partition(":")[0] for one in service.get("volumes", []))
    assert {one for one in named if not one.startswith(".")} <= set(COMPOSE["volumes"])


def test_with_a_gpu_only_triton_is_another() -> None:
    assert set(GPU) == {"services", "volumes"}
    (name,) = GPU["services"]
    gpu = GPU["services"][name]
    assert name == "triton"
    cluster = {one.spec["name"]: one.spec for one in Bundle(overlay_objects("gpu-l4")).containers}
    assert gpu["image"] == cluster["triton"]["image"]
    assert gpu["build"]["dockerfile"] == "deploy/images/triton-gpu.Dockerfile"
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    # What would take back rights that the other file leaves out.
    assert set(gpu) == {"image", "build", "volumes", "mem_limit", "deploy"}


def test_compiled_kernels_lie_where_docker_lets_them_be_executed() -> None:
    """Mounts of `tmpfs` are noexec, and /tmp is one."""
    (volume,) = GPU["services"]["triton"]["volumes"]
    name, _, place = volume.partition(":")
    assert name in GPU["volumes"]
    assert cache_folder("triton-gpu") == place
    assert not any(one.startswith(place) for one in SERVICES["triton"]["tmpfs"])


def test_images_and_arguments_are_those_of_the_cluster() -> None:
    containers = {one.spec["name"]: one.spec for one in Bundle(overlay_objects("dev")).containers}
    assert set(SERVICES) == set(containers)
    for name, service in SERVICES.items():
        assert service["image"] == containers[name]["image"]
        if name in ("worker", "controller"):
            assert service["command"] == containers[name]["args"]


def test_only_the_gateway_can_be_reached_from_this_machine() -> None:
    ports = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert list(ports) == ["gateway"]
    assert all(one.startswith("127.0.0.1:") for one in ports["gateway"])
