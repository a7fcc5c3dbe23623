"""Network policies allow what is used, on both sides, and nothing else."""

from tests.deploy.bundle import Bundle
from tests.deploy.policies.edges import CALLERS, DNS, PROMETHEUS, STORE, allowed, used


def deny_by_default(bundle: Bundle) -> list[str]:
    """One policy is for every pod and both directions, and allows nothing."""
    everything = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    policies = bundle.of("NetworkPolicy")
    return [] if any(one["spec"] == everything for one in policies) else ["nothing is denied"]


def allow_what_is_used(bundle: Bundle) -> list[str]:
    """Who connects may leave, and is let in."""
    edges = used(bundle)
    leaving = {edge for edge in edges if edge.source not in (CALLERS, PROMETHEUS)}
    entering = {edge for edge in edges if edge.target not in (DNS, STORE)}
    return [
        f"no policy lets out {edge}" for edge in sorted(leaving - allowed(bundle, "egress"))
    ] + [f"no policy lets in {edge}" for edge in sorted(entering - allowed(bundle, "ingress"))]


def allow_nothing_else(bundle: Bundle) -> list[str]:
    """Each edge that a policy allows is used."""
    return [
        f"a policy allows {edge}, which nobody uses ({direction})"
        for direction in ("egress", "ingress")
        for edge in sorted(allowed(bundle, direction) - used(bundle))
    ]


def name_their_directions(bundle: Bundle) -> list[str]:
    """Rules of a direction count only where the policy names it."""
    return [
        f"NetworkPolicy {policy['metadata']['name']} has rules for {name}, and does not say so"
        for policy in bundle.of("NetworkPolicy")
        for name in ("Ingress", "Egress")
        if policy["spec"].get(name.lower()) and name not in policy["spec"]["policyTypes"]
    ]


POLICIES = (deny_by_default, allow_what_is_used, allow_nothing_else, name_their_directions)
