"""Services lead to pods."""

from tests.deploy.bundle import Bundle


def select_pods(bundle: Bundle) -> list[str]:
    """Every Service selects some pods that serve."""
    return [
        f"Service {service['metadata']['name']} selects no pod"
        for service in bundle.of("Service")
        if not service["spec"].get("selector")
        or not bundle.select({"matchLabels": service["spec"]["selector"]})
    ]


def have_target_ports(bundle: Bundle) -> list[str]:
    """Every port of a Service is one of each pod that it selects."""
    found = []
    for service in bundle.of("Service"):
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            for pod in bundle.select({"matchLabels": service["spec"].get("selector", {})}):
                if pod.port(target) is None:
                    name = service["metadata"]["name"]
                    found.append(f"Service {name}: {pod.title} has no port {target}")
    return found


def are_headless(bundle: Bundle) -> list[str]:
    """Clients see each pod: a gRPC connection through a cluster's address stays with one.

    A name is resolved to pods alone, so the port that is dialled must be the pod's own.
    """
    found = []
    for service in bundle.of("Service"):
        name = service["metadata"]["name"]
        if service["spec"].get("clusterIP") != "None":
            found.append(f"Service {name} is not headless")
        for port in service["spec"]["ports"]:
            for pod in bundle.select({"matchLabels": service["spec"].get("selector", {})}):
                number = pod.port(port.get("targetPort", port["port"]))
                if number not in (None, port["port"]):
                    found.append(f"Service {name}: its pods listen on {number}, not {port['port']}")
    return found


POLICIES = (select_pods, have_target_ports, are_headless)
