"""How containers run: bounded, without rights, and watched."""

from tests.deploy.bundle import Bundle, Pod

_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HEALTH = ("liveness", "readiness")
_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


def have_requests_and_limits(bundle: Bundle) -> list[str]:
    """Requests and limits of processor, memory and disk."""
    return [
        f"{container.title} has no {resource} in its {kind}"
        for container in bundle.containers
        for kind in ("requests", "limits")
        for resource in _RESOURCES
        if resource not in container.spec.get("resources", {}).get(kind, {})
    ]


def are_not_root(bundle: Bundle) -> list[str]:
    """A numeric user that is not root, by the pod, which no container takes back."""
    found = []
    for pod in bundle.pods:
        for title, context in _contexts(pod):
            if not context.get("runAsNonRoot") or not context.get("runAsUser"):
                found.append(f"{title} may run as root")
    return found


def _contexts(pod: Pod) -> list[tuple[str, dict[str, object]]]:
    """What each container runs under: what the pod says, and over it what itself says."""
    general = pod.spec.get("securityContext", {})
    return [
        (one.title, {**general, **one.spec.get("securityContext", {})}) for one in pod.containers
    ]


def have_no_rights(bundle: Bundle) -> list[str]:
    """No capabilities, no way to more rights, system calls filtered, nothing of the host."""
    found = []
    for pod in bundle.pods:
        for title, context in _contexts(pod):
            if context.get("capabilities") != {"drop": ["ALL"]}:
                found.append(f"{title} does not drop all capabilities")
            if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
                found.append(f"{title} may get more rights")
            if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
                found.append(f"{title} has no seccomp profile")
        shared = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(key)]
        kinds = {key for one in pod.spec.get("volumes", []) for key in one.keys() - {"name"}}
        found += [f"{pod.title} uses {one} of its host" for one in (*shared, *(kinds - _VOLUMES))]
    return found


def write_only_to_volumes(bundle: Bundle) -> list[str]:
    """A read-only root; what is written to the node's disk or memory is bounded."""
    found = [
        f"{container.title} can write to its root"
        for container in bundle.containers
        if not container.spec.get("securityContext", {}).get("readOnlyRootFilesystem")
    ]
    for pod in bundle.pods:
        for volume in pod.spec.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                found.append(f"{pod.title}: volume {volume['name']} has no sizeLimit")
    return found


def have_probes(bundle: Bundle) -> list[str]:
    """All three probes, of what runs until it is stopped; ports and services exist."""
    found = []
    for container in bundle.containers:
        if container.is_init or not container.pod.serves:
            continue
        for name in _PROBES:
            probe = container.spec.get(name)
            if probe is None:
                found.append(f"{container.title} has no {name}")
            elif "grpc" in probe and container.port(probe["grpc"]["port"]) is None:
                found.append(f"{container.title}: its {name} asks a port that it does not have")
            elif "grpc" in probe and probe["grpc"].get("service") not in _HEALTH:
                found.append(
                    f"{container.title}: its {name} asks for no service of the health port"
                )
    return found


def ask_models_of_triton(bundle: Bundle) -> list[str]:
    """Triton's probes ask the models, which share memory with it; one that is broken ends none."""
    found = []
    for container in bundle.containers:
        if not container.image.startswith("triton") or container.is_init:
            continue
        for name in _PROBES:
            command = container.spec.get(name, {}).get("exec", {}).get("command", [])
            if command[:1] != ["seqway-triton-probe"]:
                found.append(f"{container.title}: its {name} does not ask the models")
        if "--exit-on-error=false" not in container.spec.get("args", []):
            found.append(f"{container.title} serves nothing when one model can't be loaded")
        mounts = {one["mountPath"]: one["name"] for one in container.spec["volumeMounts"]}
        shared = container.pod.volume(mounts.get("/dev/shm", ""))
        if shared.get("emptyDir", {}).get("medium") != "Memory":
            found.append(f"{container.title} has no /dev/shm in memory")
    return found


POLICIES = (
    have_requests_and_limits,
    are_not_root,
    have_no_rights,
    write_only_to_volumes,
    have_probes,
    ask_models_of_triton,
)
