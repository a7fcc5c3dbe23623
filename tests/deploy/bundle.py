"""A rendered deployment, as the policies look at it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.deploy.rendering import Object

NAME_LABEL = "app.kubernetes.io/name"
_TEMPLATED = ("Deployment", "StatefulSet", "Job")


@dataclass(frozen=True)
class Container:
    """A container of a pod; `is_init` for one that runs before the others."""

    pod: "Pod"
    spec: Object
    is_init: bool

    @property
    def title(self) -> str:
        """How sentences name it."""
        return f"{self.pod.title}, container {self.spec['name']}"

    @property
    def image(self) -> str:
        """Its image without registry, folder and tag, such as "worker"."""
        return str(self.spec["image"]).rpartition("/")[2].partition(":")[0]

    def port(self, name_or_number: str | int) -> int | None:
        """The number of one of its ports; None where it has no such port."""
        for port in self.spec.get("ports", []):
            if name_or_number in (port.get("name"), port["containerPort"]):
                return int(port["containerPort"])
        return None


@dataclass(frozen=True)
class Pod:
    """A pod, or the template of pods in `owner`."""

    owner: Object
    template: Object

    @property
    def title(self) -> str:
        """How sentences name it."""
        return f"{self.owner['kind']} {self.owner['metadata']['name']}"

    @property
    def spec(self) -> Object:
        """What the pods are."""
        spec: Object = self.template["spec"]
        return spec

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the pods."""
        labels: Mapping[str, str] = self.template["metadata"].get("labels", {})
        return labels

    @property
    def name(self) -> str:
        """Its `app.kubernetes.io/name`."""
        return self.labels.get(NAME_LABEL, "")

    @property
    def serves(self) -> bool:
        """Whether it runs until it is stopped."""
        return self.owner["kind"] in ("Deployment", "StatefulSet")

    @property
    def containers(self) -> list[Container]:
        """All containers, those that run first included."""
        return [
            Container(self, spec, is_init)
            for key, is_init in (("initContainers", True), ("containers", False))
            for spec in self.spec.get(key, [])
        ]

    def volume(self, name: str) -> Object:
        """The volume of that name; empty where there is none."""
        volumes = self.spec.get("volumes", [])
        return next((one for one in volumes if one["name"] == name), {})

    def port(self, name_or_number: str | int) -> int | None:
        """The number of a port of one of its containers."""
        ports = (one.port(name_or_number) for one in self.containers if not one.is_init)
        return next((port for port in ports if port is not None), None)


@dataclass(frozen=True)
class Bundle:
    """All objects of a deployment."""

    objects: list[Object]

    def of(self, *kinds: str) -> list[Object]:
        """The objects of some kinds."""
        return [one for one in self.objects if one["kind"] in kinds]

    def find(self, kind: str, name: str) -> Object | None:
        """An object; None where there is none."""
        return next((one for one in self.of(kind) if one["metadata"]["name"] == name), None)

    @cached_property
    def pods(self) -> list[Pod]:
        """Every pod, or template of pods."""
        templated = [Pod(one, one["spec"]["template"]) for one in self.of(*_TEMPLATED)]
        return templated + [Pod(one, one) for one in self.of("Pod")]

    @property
    def containers(self) -> Iterator[Container]:
        """Every container of every pod."""
        for pod in self.pods:
            yield from pod.containers

    def select(self, selector: Mapping[str, Any]) -> list[Pod]:
        """The pods that a label selector matches; an empty one matches all."""
        return [pod for pod in self.pods if matches(selector, pod.labels)]

    def environment(self, container: Container) -> dict[str, str]:
        """The variables of a container that the bundle itself gives, secrets apart."""
        values: dict[str, str] = {}
        for source in container.spec.get("envFrom", []):
            if "configMapRef" in source:
                found = self.find("ConfigMap", source["configMapRef"]["name"]) or {}
                values |= found.get("data", {})
        plain = (one for one in container.spec.get("env", []) if "value" in one)
        return values | {one["name"]: one["value"] for one in plain}


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector with `matchLabels` and `matchExpressions` matches labels."""
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(one, labels) for one in selector.get("matchExpressions", [])
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None
