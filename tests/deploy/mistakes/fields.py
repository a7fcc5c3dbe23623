"""Fields that no schema knows: the kind, the field, and how it is set."""

from tests.deploy.mistakes.editing import Change, find, policy

UNKNOWN_FIELDS: tuple[tuple[str, str, Change], ...] = (
    (
        "Deployment",
        "replica",
        lambda objects: find(objects, "Deployment", "seqway-gateway")["spec"].update(replica=3),
    ),
    (
        "NetworkPolicy",
        "policytypes",
        lambda objects: policy(objects, "triton").update(policytypes=["Ingress"]),
    ),
    (
        "ScaledObject",
        "maxReplicas",
        lambda objects: find(objects, "ScaledObject", "seqway-triton")["spec"].update(
            maxReplicas=9
        ),
    ),
    (
        "PodMonitor",
        "endpoints",
        lambda objects: find(objects, "PodMonitor", "seqway-triton")["spec"].update(endpoints=[]),
    ),
    (
        "Certificate",
        "secret",
        lambda objects: find(objects, "Certificate", "seqway-triton")["spec"].update(secret="x"),
    ),
    (
        "Issuer",
        "selfsigned",
        lambda objects: find(objects, "Issuer", "seqway")["spec"].update(selfsigned={}),
    ),
)
