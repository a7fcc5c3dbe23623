"""Something is left when something goes: disruptions, spread, priorities, updates."""

from tests.deploy.bundle import Bundle, Pod

_BATCH = {"worker", "controller", "loader"}
_GPU = "nvidia.com/gpu"


def have_disruption_budgets(bundle: Bundle) -> list[str]:
    """One for all pods that serve; each selects some, and lets a node be drained."""
    found, covered = [], set()
    for budget in bundle.of("PodDisruptionBudget"):
        name = budget["metadata"]["name"]
        selected = [pod for pod in bundle.select(budget["spec"]["selector"]) if pod.serves]
        covered |= {pod.title for pod in selected}
        if not selected:
            found.append(f"PodDisruptionBudget {name} selects no pod")
        if budget["spec"].get("maxUnavailable") in (None, 0):
            found.append(f"PodDisruptionBudget {name} lets no pod go")
    bare = [pod.title for pod in bundle.pods if pod.serves and pod.title not in covered]
    return found + [f"{title} has no PodDisruptionBudget" for title in bare]


def select_their_own_pods(bundle: Bundle) -> list[str]:
    """A workload's selector matches its own pods, and no other's."""
    return [
        f"{pod.title} selects {[one.title for one in selected]}"
        for pod in bundle.pods
        if pod.serves and (selected := bundle.select(pod.owner["spec"]["selector"])) != [pod]
    ]


def spread(bundle: Bundle) -> list[str]:
    """The pods of a Deployment are spread over nodes, by their own labels."""
    found = []
    for pod in bundle.pods:
        constraints = pod.spec.get("topologySpreadConstraints", [])
        keys = {one["topologyKey"] for one in constraints}
        if pod.owner["kind"] == "Deployment" and "kubernetes.io/hostname" not in keys:
            found.append(f"{pod.title} may have all its pods on one node")
        for one in constraints:
            if bundle.select(one["labelSelector"]) != [pod]:
                found.append(f"{pod.title} spreads by labels that are not its own")
    return found


def come_before_batch(bundle: Bundle) -> list[str]:
    """What callers wait for has a higher priority than batch work, which displaces nobody."""
    found = []
    classes = {one["metadata"]["name"]: one for one in bundle.of("PriorityClass")}
    ranks: dict[bool, set[int]] = {True: set(), False: set()}
    for pod in bundle.pods:
        priority = classes.get(pod.spec.get("priorityClassName", ""))
        if priority is None:
            found.append(f"{pod.title} has no priority")
            continue
        is_batch = pod.name in _BATCH
        ranks[is_batch].add(priority["value"])
        if is_batch and priority.get("preemptionPolicy") != "Never":
            found.append(f"{pod.title} is batch work and may displace others")
    if ranks[True] and ranks[False] and max(ranks[True]) >= min(ranks[False]):
        found.append("batch work has the priority of interactive work, or more")
    return found


def update_within_their_gpus(bundle: Bundle) -> list[str]:
    """A Deployment on GPUs never wants one more; where there are GPUs, somebody builds for them."""
    found = []
    for pod in filter(_uses_gpus, bundle.pods):
        title = pod.title
        if not pod.spec.get("nodeSelector", {}).get("nvidia.com/gpu.product"):
            found.append(f"{title} does not say which GPU")
        if pod.owner["kind"] != "Deployment":
            continue
        if pod.owner["spec"]["strategy"]["rollingUpdate"].get("maxSurge") != 0:
            found.append(f"{title} wants one more GPU while it is updated")
        found += _without_build(bundle, pod)
    return found


def _uses_gpus(pod: Pod) -> bool:
    return any(_GPU in one.spec.get("resources", {}).get("limits", {}) for one in pod.containers)


def _without_build(bundle: Bundle, pod: Pod) -> list[str]:
    """The Job that builds for the same GPU, with the same idea of what that is."""
    wanted = pod.spec.get("nodeSelector")
    jobs = [one for one in bundle.pods if one.owner["kind"] == "Job" and _uses_gpus(one)]
    if [one.spec.get("nodeSelector") for one in jobs] != [wanted]:
        return [f"{pod.title} has no Job that builds plans for its GPU"]
    targets = {
        (values.get("COMPUTE_CAPABILITY"), values.get("TENSORRT_VERSION"))
        for one in (pod, jobs[0])
        for container in one.containers
        if container.spec["name"] in ("plans", "build")
        for values in [bundle.environment(container)]
    }
    agreed = len(targets) == 1 and None not in next(iter(targets))
    return [] if agreed else [f"{pod.title} waits for other plans than are built: {targets}"]


def have_no_tokens(bundle: Bundle) -> list[str]:
    """Nobody speaks to Kubernetes, so nobody has a token for it."""
    accounts = [
        (f"ServiceAccount {one['metadata']['name']}", one) for one in bundle.of("ServiceAccount")
    ]
    return [
        f"{title} has a token of its ServiceAccount"
        for title, spec in (*((pod.title, pod.spec) for pod in bundle.pods), *accounts)
        if spec.get("automountServiceAccountToken") is not False
    ]


def are_in_a_restricted_namespace(bundle: Bundle) -> list[str]:
    """The namespace enforces the restricted Pod Security Standard, and all objects are in it."""
    found = []
    names = {one["metadata"]["name"] for one in bundle.of("Namespace")}
    for one in bundle.of("Namespace"):
        if one["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            found.append(f"Namespace {one['metadata']['name']} is not restricted")
    return found + [
        f"{one['kind']} {one['metadata']['name']} is in no namespace of ours"
        for one in bundle.objects
        if one["kind"] not in ("Namespace", "PriorityClass")
        and one["metadata"].get("namespace") not in names
    ]


POLICIES = (
    have_disruption_budgets,
    select_their_own_pods,
    spread,
    come_before_batch,
    update_within_their_gpus,
    have_no_tokens,
    are_in_a_restricted_namespace,
)
