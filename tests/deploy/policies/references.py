"""What an object names is there, and what is there is named."""

from collections.abc import Iterator
from functools import cache

from tests.deploy.bundle import Bundle, Pod
from tests.deploy.rendering import ROOT, Object

_NAMED_KINDS = ("ConfigMap", "PersistentVolumeClaim", "PriorityClass", "ServiceAccount")
_DOCUMENT = ROOT / "docs" / "kubernetes.md"


def exist(bundle: Bundle) -> list[str]:
    """ConfigMaps, volumes, accounts and priorities; Secrets may also be documented or issued."""
    found = []
    for pod in bundle.pods:
        for kind, name, optional in _references(pod):
            if kind == "Secret":
                there = name in _issued(bundle) or f"`{name}`" in _documented()
            else:
                there = bundle.find(kind, name) is not None
            if not there and not optional:
                found.append(f"{pod.title} names {kind} {name}, which is not there")
    return found


def are_used(bundle: Bundle) -> list[str]:
    """No ConfigMap, volume, account or priority is left over."""
    named = {(kind, name) for pod in bundle.pods for kind, name, _ in _references(pod)}
    return [
        f"{one['kind']} {one['metadata']['name']} is named by nobody"
        for one in bundle.of(*_NAMED_KINDS)
        if (one["kind"], one["metadata"]["name"]) not in named
    ]


def mount_volumes(bundle: Bundle) -> list[str]:
    """Each mount has its volume, and each volume is mounted."""
    found = []
    for pod in bundle.pods:
        claims = pod.owner["spec"].get("volumeClaimTemplates", [])
        there = {one["name"] for one in pod.spec.get("volumes", [])}
        there |= {one["metadata"]["name"] for one in claims}
        mounted = {one["name"] for c in pod.containers for one in c.spec.get("volumeMounts", [])}
        found += [f"{pod.title} mounts {name}, which it does not have" for name in mounted - there]
        found += [f"{pod.title} does not mount its {name}" for name in there - mounted]
    return found


def share_certificates(bundle: Bundle) -> list[str]:
    """Who issues is there, and so are the Secrets of those who scrape."""
    issuers = {one["metadata"]["name"] for one in bundle.of("Issuer")}
    found = [
        f"Certificate {one['metadata']['name']} names an Issuer that is not there"
        for one in bundle.of("Certificate")
        if one["spec"]["issuerRef"]["name"] not in issuers
    ]
    wanted = {
        (one["metadata"]["name"], secret)
        for one in bundle.of("PodMonitor", "Issuer")
        for secret in _secrets(one["spec"])
    }
    return found + [
        f"{name} names Secret {secret}, which nobody issues"
        for name, secret in sorted(wanted)
        if secret not in _issued(bundle)
    ]


def _secrets(value: object) -> Iterator[str]:
    """The names of Secrets anywhere in the specification of an Issuer or a PodMonitor."""
    if isinstance(value, dict):
        if "secretName" in value:
            yield value["secretName"]
        for key, inner in value.items():
            if key in ("secret", "keySecret"):
                yield inner["name"]
            else:
                yield from _secrets(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner)


def _issued(bundle: Bundle) -> set[str]:
    return {one["spec"]["secretName"] for one in bundle.of("Certificate")}


@cache
def _documented() -> str:
    """Tells which Secrets have to be made by hand."""
    return _DOCUMENT.read_text()


def _references(pod: Pod) -> Iterator[tuple[str, str, bool]]:
    """Kind, name and whether it may be missing, of what a pod names."""
    if "serviceAccountName" in pod.spec:
        yield "ServiceAccount", pod.spec["serviceAccountName"], False
    if "priorityClassName" in pod.spec:
        yield "PriorityClass", pod.spec["priorityClassName"], False
    for volume in pod.spec.get("volumes", []):
        yield from _of_volume(volume)
    for container in pod.containers:
        for source in container.spec.get("envFrom", []):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source:
                    yield kind, source[key]["name"], source[key].get("optional", False)


def _of_volume(volume: Object) -> Iterator[tuple[str, str, bool]]:
    if "configMap" in volume:
        yield "ConfigMap", volume["configMap"]["name"], False
    if "secret" in volume:
        yield "Secret", volume["secret"]["secretName"], False
    if "persistentVolumeClaim" in volume:
        yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], False


POLICIES = (exist, are_used, mount_volumes, share_certificates)
