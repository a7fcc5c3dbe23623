"""Mistakes that policies/network.py has to find."""

from tests.deploy.mistakes.editing import Mistake, find, policy, setting

MISTAKES = (
    Mistake(
        "network.deny_by_default",
        "nothing is denied",
        lambda objects: find(objects, "NetworkPolicy", "default-deny")["spec"].update(
            policyTypes=["Ingress"]
        ),
    ),
    Mistake(
        "network.allow_what_is_used",
        "no policy lets in gateway to triton at 8001/TCP",
        lambda objects: policy(objects, "triton")["ingress"][0]["from"].pop(0),
    ),
    Mistake(
        "network.allow_what_is_used",
        "no policy lets out worker to redis at 6379/TCP",
        lambda objects: policy(objects, "worker")["egress"].pop(1),
    ),
    Mistake(
        "network.allow_what_is_used",
        "no policy lets out gateway to DNS at 53/UDP",
        lambda objects: policy(objects, "gateway")["egress"].pop(2),
    ),
    Mistake(
        "network.allow_what_is_used",
        "no policy lets in Prometheus to triton at 8002/TCP",
        lambda objects: policy(objects, "metrics-triton")["ingress"][0].update(
            ports=[{"port": 9464}]
        ),
    ),
    Mistake(
        "network.allow_what_is_used",
        "no policy lets out gateway to nobody (seqway-tritn) at 8001/TCP",
        setting("gateway", "SEQWAY_TRITON_URL", "dns:///seqway-tritn:8001"),
    ),
    Mistake(
        "network.allow_nothing_else",
        "a policy allows redis to triton at 8001/TCP, which nobody uses",
        lambda objects: policy(objects, "triton")["ingress"][0]["from"].append(
            {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "redis"}}}
        ),
    ),
    Mistake(
        "network.allow_nothing_else",
        "a policy allows anybody to redis at 6379/TCP, which nobody uses",
        lambda objects: policy(objects, "redis")["ingress"][0].pop("from"),
    ),
    Mistake(
        "network.allow_nothing_else",
        "a policy allows gateway to triton at 0/TCP, which nobody uses",
        lambda objects: policy(objects, "triton")["ingress"][0].pop("ports"),
    ),
    Mistake(
        "network.name_their_directions",
        "NetworkPolicy seqway-metrics has rules for Ingress, and does not say so",
        lambda objects: policy(objects, "metrics").update(policyTypes=["Egress"]),
    ),
)
