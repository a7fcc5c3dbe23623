"""Pods get the time that their processes take to end well."""

from tests.deploy.bundle import Bundle, Container


def have_time(bundle: Bundle) -> list[str]:
    """The sleep before SIGTERM, and what the process waits for after it, fit into the grace."""
    found = []
    for container in bundle.containers:
        if container.is_init or not container.pod.serves:
            continue
        grace = int(container.pod.spec.get("terminationGracePeriodSeconds", 30))
        needed = _sleep(container) + _own(bundle, container)
        if grace <= needed:
            found.append(f"{container.title} needs {needed:g} s to end, and gets {grace} s")
    return found


def leave_first(bundle: Bundle) -> list[str]:
    """What a Service leads to goes on until nobody is sent there any more."""
    return [
        f"{container.title} ends before others know that it leaves: it has no preStop sleep"
        for service in bundle.of("Service")
        for pod in bundle.select({"matchLabels": service["spec"].get("selector", {})})
        if pod.owner["kind"] == "Deployment"
        for container in pod.containers
        if not container.is_init and not _sleep(container)
    ]


def end_celery_soon(bundle: Bundle) -> list[str]:
    """Celery's SIGTERM waits for running tasks without an end, if it is not mapped."""
    return [
        f"{container.title} has no REMAP_SIGTERM=SIGQUIT"
        for container in bundle.containers
        if container.spec["name"] in ("worker", "controller")
        and bundle.environment(container).get("REMAP_SIGTERM") != "SIGQUIT"
    ]


def _sleep(container: Container) -> int:
    hook = container.spec.get("lifecycle", {}).get("preStop", {})
    return int(hook.get("sleep", {}).get("seconds", 0))


def _own(bundle: Bundle, container: Container) -> float:
    """The seconds that the process itself may take after SIGTERM."""
    values = bundle.environment(container)
    names = ("SEQWAY_DRAIN_WAIT", "SEQWAY_DRAIN_GRACE", "SEQWAY_WORKER_SOFT_SHUTDOWN")
    own = sum(float(values.get(name, 0)) for name in names)
    arguments = (one.partition("=") for one in container.spec.get("args", []))
    return own + sum(float(value) for name, _, value in arguments if name == "--exit-timeout-secs")


POLICIES = (have_time, leave_first, end_celery_soon)
