"""How a mistake is made in a rendered deployment."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.deploy.bundle import Bundle
from tests.deploy.rendering import COMPONENTS, Object

Change = Callable[[list[Object]], object]


@dataclass(frozen=True)
class Mistake:
    """What is done to the H100 overlay with all components; `policy` has to say `sentence`."""

    policy: str
    sentence: str
    change: Change


OVERLAY, CHOSEN = "gpu-h100", COMPONENTS


def find(objects: list[Object], kind: str, name: str) -> Any:
    """An object to change; ConfigMaps are named without their digest."""
    return next(
        one
        for one in objects
        if one["kind"] == kind
        and (one["metadata"]["name"] == name or one["metadata"]["name"][:-11] == name)
    )


def pod(objects: list[Object], name: str, kind: str = "Deployment") -> Any:
    """The specification of the pods of a workload."""
    return find(objects, kind, f"seqway-{name}")["spec"]["template"]["spec"]


def container(objects: list[Object], name: str) -> Any:
    """The first container of a Deployment."""
    return pod(objects, name)["containers"][0]


def policy(objects: list[Object], name: str) -> Any:
    """The specification of a NetworkPolicy."""
    return find(objects, "NetworkPolicy", f"seqway-{name}")["spec"]


def setting(component: str, name: str, value: str) -> Change:
    """Sets a key of a ConfigMap."""
    return lambda objects: find(objects, "ConfigMap", f"seqway-{component}")["data"].update(
        {name: value}
    )


def without(kind: str, name: str) -> Change:
    """Removes an object."""
    return lambda objects: objects.remove(find(objects, kind, name))


def bundle_with(objects: list[Object], change: Change) -> Bundle:
    """The changed deployment."""
    change(objects)
    return Bundle(objects)
